import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from kattn.layers import NonLocalMeans


def image(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def filtered(x, **options):
    return ops.convert_to_numpy(NonLocalMeans(**options)(ops.convert_to_tensor(x)))


def literally(x, sigma, patch_size, search_size, distance, patch_padding):
    """The definition for one image, pixel by pixel."""
    height, width, _ = x.shape
    border, reach = patch_size // 2, max(height, width) if search_size is None else search_size // 2
    padded = np.pad(x.astype("float64"), ((border, border), (border, border), (0, 0)), mode=patch_padding)
    patches = np.lib.stride_tricks.sliding_window_view(padded, (patch_size, patch_size), axis=(0, 1))
    y = np.zeros(x.shape)
    for i, j in np.ndindex(height, width):
        rows, columns = slice(max(0, i - reach), i + reach + 1), slice(max(0, j - reach), j + reach + 1)
        d = getattr(np, distance)((patches[rows, columns] - patches[i, j]) ** 2, axis=(2, 3, 4))
        w = np.exp(-d / (2 * sigma**2))
        y[i, j] = (w[..., None] * x[rows, columns]).sum((0, 1)) / w.sum()
    return y


def test_the_whole_image_form_behaves_as_a_layer_should(check_layer):
    check_layer(NonLocalMeans(sigma=1.0, return_attention=True), image(2, 5, 4, 2))


def test_the_window_form_behaves_as_a_layer_should(check_layer):
    check_layer(NonLocalMeans(sigma=1.0, search_size=3, return_attention=True), image(2, 5, 4, 2))


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    size=st.tuples(st.integers(3, 7), st.integers(3, 7), st.integers(1, 3)),
    patch_size=st.sampled_from([1, 3, 5]),
    search_size=st.sampled_from([None, 1, 3, 5, 15]),
    distance=st.sampled_from(["sum", "mean"]),
    patch_padding=st.sampled_from(["reflect", "constant"]),
    sigma=st.floats(0.3, 3),
)
def test_is_the_definition(size, **options):
    x = image(*size)
    np.testing.assert_allclose(filtered(x[None], **options)[0], literally(x, **options), atol=1e-5)


@settings(max_examples=8, deadline=None, derandomize=True)
@given(st.sampled_from([None, 3]), st.floats(0.5, 3), st.floats(-2, 2), st.integers(0, 99))
def test_contrast_brightness_and_mirroring_commute_with_the_filter(search_size, contrast, brightness, seed):
    """Weights are made of differences of reflected patches, and they sum to one."""
    x = image(1, 5, 6, 2, seed=seed)
    y = filtered(x, sigma=1.0, search_size=search_size)
    changed = (contrast * x + brightness)[:, ::-1].astype("float32")
    got = filtered(changed, sigma=contrast, search_size=search_size)[:, ::-1]
    np.testing.assert_allclose(got, contrast * y + brightness, atol=1e-3)
    assert x.min() <= y.min() and y.max() <= x.max()


@pytest.mark.parametrize("search_size", [None, 3])
def test_limits_of_sigma(search_size):
    x = image(1, 5, 6, 1)
    np.testing.assert_allclose(filtered(x, sigma=1e-3, search_size=search_size), x, atol=1e-5)
    wide = filtered(x, sigma=1e4, search_size=search_size)[0, 2, 2, 0]
    window = x if search_size is None else x[:, 1:4, 1:4]
    assert wide == pytest.approx(window.mean(), abs=1e-5)


def test_weights_are_embedded_gaussian_attention():
    """The bridge to the non-local block: logits (2 V V' - |V|^2 - |V'|^2) / (2 sigma^2), values the image."""
    x = image(1, 4, 5, 2)
    _, weights = NonLocalMeans(sigma=0.7, return_attention=True)(x)
    padded = np.pad(x[0], ((1, 1), (1, 1), (0, 0)), mode="reflect")
    v = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(0, 1)).reshape(20, -1).astype("float64")
    norms = (v**2).sum(1)
    logits = (2 * v @ v.T - norms[:, None] - norms) / (2 * 0.7**2)
    want = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(ops.convert_to_numpy(weights)[0], want, atol=1e-5)


@pytest.mark.parametrize("search_size", [None, 3])
def test_takes_images_of_open_size(search_size):
    symbol = keras.Input((None, None, 2))
    layer = NonLocalMeans(sigma=1.0, search_size=search_size)
    model = keras.Model(symbol, layer(symbol))
    x = image(2, 4, 6, 2)
    np.testing.assert_allclose(model.predict(x, verbose=0), ops.convert_to_numpy(layer(x)), atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patch_size": 4}, "patch_size must be odd"),
        ({"search_size": 0}, "search_size must be odd"),
        ({"sigma": 0.0}, "sigma must be positive"),
        ({"distance": "max"}, "distance must be one of"),
        ({"patch_padding": "wrap"}, "patch_padding one of"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        NonLocalMeans(**options)


def test_an_image_smaller_than_its_border_is_refused():
    with pytest.raises(ValueError, match="needs a map of more than 2 a side"):
        NonLocalMeans(patch_size=5).build((None, 2, 8, 1))
