import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops
from support.layer_checks import randomise

from kattn.layers import SAGANAttention


def image(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def outputs(layer, x, **options):
    return [ops.convert_to_numpy(y) for y in keras.tree.flatten(layer(ops.convert_to_tensor(x), **options))]


def randomised(shape, **options):
    layer = SAGANAttention(**options)
    layer.build(shape)
    randomise(layer)
    return layer


@pytest.mark.parametrize(
    "options",
    [{}, {"form": "release", "return_attention": True}, {"form": "paper", "spectral_norm": True}],
    ids=lambda options: options.get("form", "pytorch"),
)
def test_behaves_as_a_layer_should(check_layer, options):
    check_layer(SAGANAttention(**options), image(2, 5, 4, 16))


@pytest.mark.parametrize(
    ("form", "channels", "count"),
    [("pytorch", 64, 5201), ("pytorch", 512, 328_321), ("release", 64, 5121), ("paper", 64, 2049)],
)
def test_parameters_are_the_published_count(form, channels, count):
    layer = SAGANAttention(form=form)
    layer.build((None, 8, 8, channels))
    assert layer.count_params() == count


def test_starts_as_the_identity():
    x = image(1, 4, 4, 16)
    np.testing.assert_array_equal(outputs(SAGANAttention(form="release"), x)[0], x)


@settings(max_examples=8, deadline=None, derandomize=True)
@given(
    st.integers(2, 6), st.integers(2, 6), st.integers(1, 12), st.sampled_from(["pytorch", "paper"]), st.integers(0, 99)
)
def test_moving_positions_moves_the_output(height, width, channels, form, seed):
    """Without pooling no position is special: A is made of products of positions alone."""
    x = image(1, height, width, channels, seed=seed)
    order = np.random.default_rng(seed).permutation(height * width)
    layer = randomised(x.shape, form=form)
    moved = x.reshape(1, -1, channels)[:, order].reshape(x.shape)
    want = outputs(layer, x)[0].reshape(1, -1, channels)[:, order].reshape(x.shape)
    np.testing.assert_allclose(outputs(layer, moved)[0], want, atol=1e-4)


@settings(max_examples=6, deadline=None, derandomize=True)
@given(st.integers(1, 3), st.integers(1, 3), st.integers(0, 2), st.integers(0, 2))
def test_moving_by_whole_pools_moves_the_output(height, width, down, right):
    """With 2x2 pooling the map may be rolled by even steps."""
    x = image(1, 2 * height, 2 * width, 8)
    layer = randomised(x.shape, form="release")
    step = (2 * down, 2 * right)
    want = np.roll(outputs(layer, x)[0], step, (1, 2))
    np.testing.assert_allclose(outputs(layer, np.roll(x, step, (1, 2)))[0], want, atol=1e-4)


def test_every_query_spreads_one():
    _, attention = outputs(randomised((1, 5, 4, 16), form="release", return_attention=True), image(1, 5, 4, 16))
    assert attention.shape == (1, 20, 4)
    np.testing.assert_allclose(attention.sum(-1), 1, atol=1e-5)


def test_takes_maps_of_open_size():
    symbol = keras.Input((None, None, 16))
    layer = SAGANAttention(form="release", return_attention=True)
    y, attention = layer(symbol)
    assert (y.shape, attention.shape) == ((None, None, None, 16), (None, None, None))
    x = image(2, 4, 6, 16)
    model = keras.Model(symbol, [y, attention])
    for got, want in zip(model.predict(x, verbose=0), outputs(layer, x), strict=True):
        np.testing.assert_allclose(got, want, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"form": "cvpr"}, "form must be one of"), ({"value_reduction": 2}, "need project=True")],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        SAGANAttention(**options)
