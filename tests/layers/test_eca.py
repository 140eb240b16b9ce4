import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.layer_checks import PROPERTY, build, check_free_sizes, image, parameters, randomise, run

from kattn.layers import EfficientChannelAttention


def test_behaves_as_a_layer_should(check_layer):
    check_layer(EfficientChannelAttention(kernel_size=5, use_bias=True, return_attention=True), image(2, 6, 5, 8))


def test_takes_maps_of_unknown_size():
    check_free_sizes(EfficientChannelAttention(), image(2, 5, 7, 16))


@pytest.mark.parametrize(
    ("channels", "size"), [(2, 1), (16, 3), (32, 3), (96, 3), (128, 5), (256, 5), (1024, 5), (2048, 7)]
)
def test_the_kernel_follows_the_rule(channels, size):
    assert parameters(build(EfficientChannelAttention(), image(1, 1, 1, channels))) == size


def test_resnet50_has_the_86_parameters_that_the_rule_gives():
    blocks = {256: 3, 512: 4, 1024: 6, 2048: 3}
    assert sum(n * parameters(build(EfficientChannelAttention(), image(1, 1, 1, c))) for c, n in blocks.items()) == 86


@PROPERTY
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 20), st.sampled_from([1, 3, 5]))
def test_each_channel_is_scaled_whatever_the_order_of_positions(height, width, channels, kernel_size):
    """The gate is a number in (0, 1) a channel, and depends on no position."""
    x = image(2, height, width, channels)
    layer = build(EfficientChannelAttention(kernel_size, return_attention=True), x)
    randomise(layer)
    y, gate = run(layer, x)
    assert gate.shape == (2, 1, 1, channels) and gate.min() > 0 and gate.max() < 1
    np.testing.assert_allclose(y, x * gate, atol=1e-5)
    flipped, _ = run(layer, x[:, ::-1, ::-1])
    np.testing.assert_allclose(flipped[:, ::-1, ::-1], y, atol=1e-5)


def test_a_channel_hears_its_neighbours_only():
    x = image(1, 3, 3, 9)
    layer = EfficientChannelAttention(3, return_attention=True)
    gate = run(layer, x)[1]
    x[..., 0] += 1
    changed = np.flatnonzero(np.abs(run(layer, x)[1] - gate))
    assert set(changed) == {0, 1}


@pytest.mark.parametrize(
    ("options", "message"), [({"kernel_size": 4}, "odd number"), ({"kernel_size": -1}, "odd"), ({"gamma": 0}, "gamma")]
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        EfficientChannelAttention(**options)


def test_circular_channels_have_no_ends(check_layer):
    check_layer(EfficientChannelAttention(circular=True, return_attention=True), image(2, 6, 5, 8))


@pytest.mark.parametrize(("channels", "kernel_size"), [(10, 9), (6, 3), (2, 5), (3, 1)])
def test_a_circular_gate_moves_round_with_the_channels(channels, kernel_size):
    x = image(2, 3, 3, channels)
    layer = EfficientChannelAttention(kernel_size, circular=True, return_attention=True)
    gate = run(layer, x)[1]
    np.testing.assert_allclose(run(layer, np.roll(x, 1, axis=-1))[1], np.roll(gate, 1, axis=-1), atol=1e-6)


def test_a_circular_kernel_is_at_least_3_wide_and_goes_round_once():
    assert parameters(build(EfficientChannelAttention(circular=True), image(1, 1, 1, 2))) == 3
    with pytest.raises(ValueError, match=r"not be wider than 2 \* channels \+ 1"):
        EfficientChannelAttention(7, circular=True).build((None, 4, 4, 2))
