import numpy as np
import pytest
from support.layer_checks import build, check_free_sizes, image, parameters, randomise, run

from kattn.layers import GatedChannelTransformation


@pytest.mark.parametrize("mode", ["l2", "l1"])
def test_behaves_as_a_layer_should(check_layer, mode):
    check_layer(GatedChannelTransformation(mode, return_attention=True), image(2, 6, 5, 8))


def test_takes_maps_of_unknown_size():
    check_free_sizes(GatedChannelTransformation(), image(2, 5, 7, 8))


@pytest.mark.parametrize(
    ("mode", "after_relu", "epsilon"),
    [("l2", False, 1e-5), ("l2", False, 0.05), ("l1", False, 1e-5), ("l1", True, 1e-5)],
)
def test_the_gate_is_the_equation(mode, after_relu, epsilon):
    x = 1e-2 * image(2, 5, 4, 6)
    layer = build(GatedChannelTransformation(mode, epsilon, after_relu, return_attention=True), x)
    randomise(layer, scale=1.0)
    y, gate = run(layer, x)
    alpha, gamma, beta = (np.asarray(weight, "float64") for weight in layer.weights)
    x = x.astype("float64")
    if mode == "l2":
        e = alpha * np.sqrt((x**2).sum((1, 2)) + epsilon)
        n = gamma * e / np.sqrt((e**2).mean(-1, keepdims=True) + epsilon)
    else:
        e = alpha * (x if after_relu else abs(x)).sum((1, 2))
        n = gamma * e / (abs(e).mean(-1, keepdims=True) + epsilon)
    np.testing.assert_allclose(gate[:, 0, 0], 1 + np.tanh(n + beta), atol=1e-5)
    np.testing.assert_allclose(y, x * gate, atol=1e-6)


def test_it_starts_as_the_identity():
    x = image(2, 4, 4, 4)
    np.testing.assert_array_equal(run(GatedChannelTransformation(), x)[0], x)


def test_large_maps_keep_their_numbers_in_half_precision():
    """The sum of the squares of this map is above 65,504."""
    x = 10 * image(1, 32, 32, 2)
    layer = build(GatedChannelTransformation(dtype="mixed_float16"), x)
    layer.gamma.assign([0.5, -0.5])
    assert np.isfinite(run(layer, x)[0]).all()
    np.testing.assert_allclose(run(layer, x)[0], x * (1 + np.tanh([0.5, -0.5])), rtol=0.05, atol=0.05)


def test_parameters_are_three_a_channel():
    assert parameters(build(GatedChannelTransformation(), image(1, 1, 1, 256))) == 768


@pytest.mark.parametrize(("options", "message"), [({"mode": "l3"}, "mode must be one of"), ({"epsilon": 0}, "epsilon")])
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        GatedChannelTransformation(**options)
