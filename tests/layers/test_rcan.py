import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from kattn.layers import ResidualChannelAttentionBlock, ResidualChannelAttentionGroup, SqueezeExcite, get


def image(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def test_the_block_behaves_as_a_layer_should(check_layer):
    check_layer(ResidualChannelAttentionBlock(reduction=2, batch_norm=True), image(2, 5, 4, 6))


def test_the_group_behaves_as_a_layer_should(check_layer):
    check_layer(ResidualChannelAttentionGroup(blocks=1, reduction=2), image(2, 5, 4, 6))


@pytest.mark.parametrize(
    ("layer", "count"),
    [
        (SqueezeExcite, 580),
        (ResidualChannelAttentionBlock, 74_436),
        (ResidualChannelAttentionGroup, 1_525_648),
    ],
)
def test_parameters_are_the_published_count(layer, count):
    layer = layer()
    layer.build((None, 8, 8, 64))
    assert layer.count_params() == count


def test_its_channel_attention_is_squeeze_and_excitation():
    assert type(get("rcan_ca", reduction=4)) is SqueezeExcite


@settings(max_examples=6, deadline=None, derandomize=True)
@given(st.integers(1, 7), st.integers(1, 7), st.integers(1, 6), st.integers(1, 3), st.integers(0, 99))
def test_mirrored_kernels_commute_with_mirroring(height, width, channels, blocks, seed):
    """Same padding and a gate that sees only means: turning map and kernels over turns the output over."""
    x = image(1, height, width, channels, seed=seed)
    layer = ResidualChannelAttentionGroup(blocks=blocks, reduction=2)
    y = ops.convert_to_numpy(layer(x))
    assert y.shape == x.shape and np.all(np.isfinite(y))
    for weight in layer.weights:
        if len(weight.shape) == 4:
            weight.assign(ops.flip(weight.value, axis=1))
    np.testing.assert_allclose(ops.convert_to_numpy(layer(x[:, :, ::-1].copy()))[:, :, ::-1], y, atol=1e-4)


def test_the_residual_scale_is_the_paper_s_not_the_code_s():
    x = image(1, 4, 4, 4)
    layer = ResidualChannelAttentionBlock(reduction=2)
    added = ops.convert_to_numpy(layer(x)) - x
    layer.residual_scale = 0.1
    np.testing.assert_allclose(ops.convert_to_numpy(layer(x)) - x, 0.1 * added, atol=1e-6)
