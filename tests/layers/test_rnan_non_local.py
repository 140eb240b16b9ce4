import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops
from support.layer_checks import randomise

from kattn.layers import RNANNonLocal


def image(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def numbers(x):
    return ops.convert_to_numpy(x)


def randomised(shape, **options):
    layer = RNANNonLocal(**options)
    layer.build(shape)
    randomise(layer)
    return layer


def test_behaves_as_a_layer_should(check_layer):
    check_layer(RNANNonLocal(return_attention=True), image(2, 5, 4, 6))


def test_parameters_are_the_published_count():
    layer = RNANNonLocal()
    layer.build((None, 8, 8, 64))
    assert layer.count_params() == 8352


@pytest.mark.parametrize(("softmax_axis", "summed"), [("query", 1), ("key", 2)])
def test_the_weights_sum_to_one_over_the_named_axis(softmax_axis, summed):
    x = image(2, 4, 5, 6)
    _, attention = randomised(x.shape, softmax_axis=softmax_axis, return_attention=True)(x)
    np.testing.assert_allclose(numbers(attention).sum(summed), 1, atol=1e-5)
    assert np.max(np.abs(numbers(attention).sum(3 - summed) - 1)) > 1e-3


@settings(max_examples=8, deadline=None, derandomize=True)
@given(st.integers(1, 5), st.integers(1, 5), st.integers(1, 6), st.sampled_from(["query", "key"]), st.integers(0, 99))
def test_moving_positions_moves_the_output(height, width, channels, softmax_axis, seed):
    x = image(1, height, width, channels, seed=seed)
    order = np.random.default_rng(seed).permutation(height * width)
    layer = randomised(x.shape, softmax_axis=softmax_axis)
    moved = x.reshape(1, -1, channels)[:, order].reshape(x.shape)
    want = numbers(layer(x)).reshape(1, -1, channels)[:, order].reshape(x.shape)
    np.testing.assert_allclose(numbers(layer(moved)), want, atol=1e-4)


def test_takes_maps_of_open_size():
    symbol = keras.Input((None, None, 6))
    layer = randomised((None, None, None, 6))
    model = keras.Model(symbol, layer(symbol))
    x = image(2, 3, 5, 6)
    np.testing.assert_allclose(model.predict(x, verbose=0), numbers(layer(x)), atol=1e-5)


def test_an_unknown_axis_is_refused():
    with pytest.raises(ValueError, match="must be 'query' or 'key'"):
        RNANNonLocal(softmax_axis="channel")
