import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from kattn.layers import StyleAttention


def image(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def numbers(x):
    return ops.convert_to_numpy(x)


def test_behaves_as_a_layer_should(check_layer):
    check_layer(StyleAttention(return_attention=True), image(2, 5, 4, 6), image(2, 3, 4, 6, seed=1))


def test_parameters_are_the_published_count():
    layer = StyleAttention()
    layer.build([(None, 8, 8, 512), (None, 8, 8, 512)])
    assert layer.count_params() == 1_050_624


sizes = st.tuples(st.integers(1, 5), st.integers(2, 5))


@settings(max_examples=8, deadline=None, derandomize=True)
@given(sizes, sizes, st.integers(1, 6), st.booleans(), st.integers(0, 99))
def test_only_the_style_s_collection_of_pixels_matters(content_size, style_size, channels, unbiased, seed):
    """The sum over the style's positions has no order, and neither have mean and variance."""
    content, style = image(1, *content_size, channels, seed=seed), image(1, *style_size, channels, seed=seed + 1)
    order = np.random.default_rng(seed).permutation(style_size[0] * style_size[1])
    layer = StyleAttention(unbiased=unbiased)
    y = numbers(layer([content, style]))
    moved = numbers(layer([content, style.reshape(1, -1, channels)[:, order].reshape(style.shape)]))
    assert y.shape == content.shape and np.all(np.isfinite(y))
    np.testing.assert_allclose(moved, y, atol=1e-4)


@settings(max_examples=8, deadline=None, derandomize=True)
@given(st.floats(0.5, 4), st.floats(-3, 3), st.integers(0, 99))
def test_contrast_and_brightness_of_the_content_do_not_choose_the_style(contrast, brightness, seed):
    """The queries are normalised: what is added to the content stays."""
    content, style = image(1, 4, 5, 6, seed=seed), image(1, 3, 4, 6, seed=seed + 1)
    layer = StyleAttention(return_attention=True)
    attention = numbers(layer([content, style])[1])
    other = contrast * content + np.float32(brightness)
    np.testing.assert_allclose(numbers(layer([other, style])[1]), attention, atol=1e-3)


def test_the_two_divisors_of_the_variance_differ():
    inputs = [image(1, 4, 4, 6), image(1, 2, 2, 6, seed=1)]
    layer = StyleAttention()
    sample = numbers(layer(inputs))
    layer.unbiased = False
    assert np.max(np.abs(numbers(layer(inputs)) - sample)) > 1e-3


def test_takes_maps_of_open_size():
    symbols = [keras.Input((None, None, 6)), keras.Input((None, None, 6))]
    layer = StyleAttention()
    model = keras.Model(symbols, layer(symbols))
    inputs = [image(2, 4, 3, 6), image(2, 2, 5, 6, seed=1)]
    assert model.output_shape == (None, None, None, 6)
    np.testing.assert_allclose(model.predict(inputs, verbose=0), numbers(layer(inputs)), atol=1e-5)


@pytest.mark.parametrize("shapes", [(None, 4, 4, 6), [(None, 4, 4, 6)], [(None, 4, 4, 6), (None, 6)]])
def test_anything_but_two_maps_is_refused(shapes):
    with pytest.raises(ValueError, match=r"StyleAttention takes a"):
        StyleAttention().build(shapes)
