import numpy as np
import pytest
from support.layer_checks import build, check_free_sizes, image, parameters, randomise, run

from kattn.layers import EffectiveSqueezeExcite


def test_behaves_as_a_layer_should(check_layer):
    check_layer(EffectiveSqueezeExcite(return_attention=True), image(2, 6, 5, 8))


def test_takes_maps_of_unknown_size():
    check_free_sizes(EffectiveSqueezeExcite(), image(2, 5, 7, 8))


@pytest.mark.parametrize(
    ("gate", "function"),
    [("hard_sigmoid", lambda a: np.clip(a + 3, 0, 6) / 6), ("sigmoid", lambda a: 1 / (1 + np.exp(-a)))],
)
def test_the_gate_is_the_equation(gate, function):
    x = 6 * image(2, 1, 1, 8)
    layer = build(EffectiveSqueezeExcite(gate, return_attention=True), x)
    randomise(layer)
    y, found = run(layer, x)
    kernel, bias = (np.asarray(weight) for weight in layer.weights)
    np.testing.assert_allclose(found, function(x @ kernel[0, 0] + bias), atol=1e-5)
    np.testing.assert_allclose(y, x * found, atol=1e-5)
    assert gate == "sigmoid" or {0.0, 1.0} <= set(found.ravel())


@pytest.mark.parametrize(("channels", "count"), [(256, 65_792), (512, 262_656), (1024, 1_049_600)])
def test_parameters_are_those_of_the_authors_code(channels, count):
    assert parameters(build(EffectiveSqueezeExcite(), image(1, 1, 1, channels))) == count


def test_another_gate_is_refused():
    with pytest.raises(ValueError, match="gate must be one of hard_sigmoid, sigmoid"):
        EffectiveSqueezeExcite("tanh")
