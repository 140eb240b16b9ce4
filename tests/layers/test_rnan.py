import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops
from support.layer_checks import randomise

from kattn.layers import ResidualLocalAttentionBlock, ResidualNonLocalAttentionBlock

SMALL = {"trunk_blocks": 1, "mask_blocks": (1, 1, 1), "tail_blocks": 1}


def image(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def test_the_local_block_behaves_as_a_layer_should(check_layer):
    check_layer(ResidualLocalAttentionBlock(**SMALL), image(2, 5, 4, 4))


def test_the_non_local_block_behaves_as_a_layer_should(check_layer):
    check_layer(ResidualNonLocalAttentionBlock(**SMALL), image(2, 4, 4, 4))


@pytest.mark.parametrize("block", [ResidualLocalAttentionBlock, ResidualNonLocalAttentionBlock])
def test_gives_its_mask_on_request(check_layer, block):
    x = image(2, 5, 4, 4)
    layer = block(**SMALL, return_attention=True)
    check_layer(layer, x)
    y, mask = layer(x)
    h = layer.head[0](x)
    np.testing.assert_allclose(
        ops.convert_to_numpy(y), ops.convert_to_numpy(layer.tail[0](h + layer.trunk[0](h) * mask)), atol=1e-5
    )


@pytest.mark.parametrize(
    ("block", "count"), [(ResidualLocalAttentionBlock, 853_312), (ResidualNonLocalAttentionBlock, 861_664)]
)
def test_parameters_are_the_published_count(block, count):
    layer = block()
    layer.build((None, 8, 8, 64))
    assert layer.count_params() == count


@settings(max_examples=6, deadline=None, derandomize=True)
@given(st.integers(1, 7), st.integers(1, 7), st.booleans(), st.integers(0, 99))
def test_a_closed_mask_leaves_head_and_tail(height, width, non_local, seed):
    """y = tail(h + T * M) with M = 0, for odd sizes too, where the authors' code fails."""
    x = image(1, height, width, 3, seed=seed)
    layer = (ResidualNonLocalAttentionBlock if non_local else ResidualLocalAttentionBlock)(**SMALL)
    layer.build(x.shape)
    randomise(layer)
    assert np.all(np.isfinite(ops.convert_to_numpy(layer(x))))
    layer.gate.kernel.assign(ops.zeros_like(layer.gate.kernel))
    layer.gate.bias.assign(ops.full(layer.gate.bias.shape, -1e4))
    want = layer.tail[0](layer.head[0](x))
    np.testing.assert_allclose(ops.convert_to_numpy(layer(x)), ops.convert_to_numpy(want), atol=1e-5)


def test_takes_maps_of_open_size():
    symbol = keras.Input((None, None, 3))
    layer = ResidualLocalAttentionBlock(**SMALL)
    model = keras.Model(symbol, layer(symbol))
    x = image(2, 5, 6, 3)
    np.testing.assert_allclose(model.predict(x, verbose=0), ops.convert_to_numpy(layer(x)), atol=1e-5)


def test_other_than_three_numbers_of_mask_blocks_are_refused():
    with pytest.raises(ValueError, match="mask_blocks must be three numbers"):
        ResidualLocalAttentionBlock(mask_blocks=(1, 2))
