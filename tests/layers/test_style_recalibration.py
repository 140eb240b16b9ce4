import numpy as np
import pytest
from support.layer_checks import build, check_free_sizes, image, parameters, randomise, run

from kattn.layers import StyleRecalibration


def test_behaves_as_a_layer_should(check_layer):
    check_layer(StyleRecalibration(return_attention=True), image(2, 6, 5, 8))


def test_takes_maps_of_unknown_size():
    check_free_sizes(StyleRecalibration(), image(2, 5, 7, 8))


@pytest.mark.parametrize("size", [(3, 2), (5, 7)])
def test_the_gate_is_the_equation(size):
    """The deviation is that of N - 1, which shows on small maps."""
    x = image(2, *size, 4)
    layer = build(StyleRecalibration(return_attention=True), x)
    randomise(layer)
    y, gate = run(layer, x)
    w1, w2, scale, shift, mean, variance = (np.asarray(weight) for weight in layer.weights)
    style = w1 * x.mean((1, 2)) + w2 * np.sqrt(x.var((1, 2), ddof=1) + 1e-5)
    logits = (style - mean) / np.sqrt(variance + 1e-5) * scale + shift
    np.testing.assert_allclose(gate[:, 0, 0], 1 / (1 + np.exp(-logits)), atol=1e-5)
    np.testing.assert_allclose(y, x * gate, atol=1e-5)


def test_every_gate_starts_at_one_half():
    x = image(2, 4, 4, 4)
    np.testing.assert_allclose(run(StyleRecalibration(), x)[0], x / 2, atol=1e-6)


def test_one_position_gives_numbers():
    layer, x = StyleRecalibration(), image(2, 1, 1, 4)
    randomise(build(layer, x))
    assert np.isfinite(run(layer, x)[0]).all() and np.isfinite(run(layer, x, training=True)[0]).all()


def test_parameters_are_four_a_channel():
    assert parameters(build(StyleRecalibration(), image(1, 1, 1, 256))) == 1024
