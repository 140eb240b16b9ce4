import numpy as np
import pytest
from support.layer_checks import build, check_free_sizes, image, parameters, randomise, run

from kattn.layers import ShuffleAttention


def test_behaves_as_a_layer_should(check_layer):
    check_layer(ShuffleAttention(groups=2, return_attention=True), image(2, 6, 5, 8))


def test_takes_maps_of_unknown_size():
    check_free_sizes(ShuffleAttention(2), image(2, 5, 7, 8))


def test_it_is_the_equation_group_by_group():
    x = image(2, 5, 4, 12)
    layer = build(ShuffleAttention(2, return_attention=True), x)
    randomise(layer)
    y, gate = run(layer, x)
    w1, b1, w2, b2, scale, shift = (np.asarray(weight) for weight in layer.weights)
    want = []
    for first, second in ((x[..., :3], x[..., 3:6]), (x[..., 6:9], x[..., 9:])):
        normalised = (second - second.mean((1, 2), keepdims=True)) / np.sqrt(second.var((1, 2), keepdims=True) + 1e-5)
        want.append(first / (1 + np.exp(-(w1 * first.mean((1, 2), keepdims=True) + b1))))
        want.append(second / (1 + np.exp(-(w2 * (scale * normalised + shift) + b2))))
    want = np.concatenate(want, axis=-1)
    np.testing.assert_allclose(x * gate, want, atol=1e-5)
    order = [0, 6, 1, 7, 2, 8, 3, 9, 4, 10, 5, 11]  # channel i of half j at 2 i + j
    np.testing.assert_allclose(y, want[..., order], atol=1e-5)


def test_every_gate_starts_at_the_same_value():
    x = image(2, 4, 4, 8)
    gate = run(ShuffleAttention(2, return_attention=True), x)[1]
    np.testing.assert_allclose(gate, 1 / (1 + np.exp(-1)), atol=1e-6)


@pytest.mark.parametrize(
    ("channels", "groups", "count"), [(256, 64, 12), (2048, 64, 96), (64, 64, 6), (24, 64, 18), (32, 4, 24)]
)
def test_parameters_are_three_channels_of_a_group(channels, groups, count):
    """64 groups at 64 channels, which the authors' code refuses, are 32."""
    assert parameters(build(ShuffleAttention(groups), image(1, 1, 1, channels))) == count


def test_one_position_gives_numbers():
    layer, x = ShuffleAttention(2), image(2, 1, 1, 8)
    randomise(build(layer, x))
    assert np.isfinite(run(layer, x)[0]).all()


def test_bad_options_are_named():
    with pytest.raises(ValueError, match="groups must be at least 1"):
        ShuffleAttention(0)
    with pytest.raises(ValueError, match="halves the channels"):
        ShuffleAttention()(image(1, 2, 2, 5))
