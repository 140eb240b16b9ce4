import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.layer_checks import PROPERTY, build, check_free_sizes, image, parameters, randomise, run

from kattn.layers import ChannelSelfAttention, PositionAttention

SIDE = st.integers(1, 6)


def ready(layer, x):
    randomise(build(layer, x))
    return layer


def shuffled(x, seed=1):
    """Whole positions moved about, alike in every sample."""
    flat = x.reshape(x.shape[0], -1, x.shape[-1])
    return flat[:, np.random.default_rng(seed).permutation(flat.shape[1])].reshape(x.shape)


@pytest.mark.parametrize("layer", [PositionAttention(2, return_attention=True), ChannelSelfAttention()])
def test_behaves_as_a_layer_should(check_layer, layer):
    check_layer(layer, image(2, 4, 3, 4))


@pytest.mark.slow
@pytest.mark.parametrize("layer", [PositionAttention(2, block=5), ChannelSelfAttention(False, return_attention=True)])
def test_every_form_behaves(check_layer, layer):
    check_layer(layer, image(2, 4, 3, 4))


@pytest.mark.parametrize("layer", [PositionAttention(return_attention=True), ChannelSelfAttention()])
def test_takes_maps_of_unknown_size(layer):
    check_free_sizes(layer, image(2, 4, 3, 8))


@pytest.mark.parametrize("layer", [PositionAttention(), ChannelSelfAttention()])
def test_starts_as_the_identity(layer):
    x = image(2, 4, 3, 8)
    np.testing.assert_array_equal(run(layer, x)[0], x)


@PROPERTY
@given(SIDE, SIDE, st.integers(1, 9), st.integers(1, 4), st.sampled_from([None, 1, 4]))
def test_position_attention_moves_with_the_positions(height, width, channels, reduction, block):
    x = image(2, height, width, channels)
    layer = ready(PositionAttention(reduction, block), x)
    np.testing.assert_allclose(run(layer, shuffled(x))[0], shuffled(run(layer, x)[0]), atol=1e-4)


@PROPERTY
@given(SIDE, SIDE, st.integers(1, 9), st.booleans())
def test_channel_attention_moves_with_positions_and_with_channels(height, width, channels, negate):
    x = image(2, height, width, channels)
    layer = ready(ChannelSelfAttention(negate), x)
    y = run(layer, x)[0]
    np.testing.assert_allclose(run(layer, shuffled(x))[0], shuffled(y), atol=1e-4)
    order = np.random.default_rng(2).permutation(channels)
    np.testing.assert_allclose(run(layer, x[..., order])[0], y[..., order], atol=1e-4)


def test_weights_of_a_query_sum_to_one():
    x = image(2, 4, 3, 8)
    for layer in (PositionAttention(return_attention=True), ChannelSelfAttention(return_attention=True)):
        np.testing.assert_allclose(run(layer, x)[1].sum(axis=-1), 1, atol=1e-5)


def test_channels_attend_to_the_least_like_in_the_code_and_the_most_like_in_the_paper():
    x = np.ones((1, 4, 4, 2), "float32")
    x[..., 1] = -1  # a channel and its opposite
    code = run(ChannelSelfAttention(return_attention=True), x)[1]
    paper = run(ChannelSelfAttention(negate=False, return_attention=True), x)[1]
    np.testing.assert_allclose(code[0], [[0, 1], [1, 0]], atol=1e-6)
    np.testing.assert_allclose(paper[0], [[1, 0], [0, 1]], atol=1e-6)


@pytest.mark.parametrize(("reduction", "count"), [(8, 328_321), (1, 3 * (512 * 512 + 512) + 1)])
def test_parameters_are_the_published_count(reduction, count):
    assert parameters(build(PositionAttention(reduction), image(1, 1, 1, 512))) == count
    assert parameters(build(ChannelSelfAttention(), image(1, 1, 1, 512))) == 1


def test_bad_options_are_named():
    with pytest.raises(ValueError, match="block must be None or at least 1"):
        PositionAttention(block=0)
    with pytest.raises(ValueError, match="reduction must be an integer"):
        PositionAttention(reduction=0).build((None, 4, 4, 8))
