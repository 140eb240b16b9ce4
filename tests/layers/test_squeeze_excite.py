import keras
import numpy as np
import pytest

from kattn.layers import SqueezeExcite


def image(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def test_behaves_as_a_layer_should(check_layer):
    check_layer(SqueezeExcite(reduction=4, return_attention=True), image(2, 6, 5, 8))


@pytest.mark.parametrize("squeeze", ["avg", "max"])
@pytest.mark.parametrize("excitation", ["sigmoid", "tanh", "relu"])
def test_gate_is_the_equation(squeeze, excitation):
    x = image(2, 5, 4, 8)
    layer = SqueezeExcite(reduction=2, squeeze=squeeze, excitation=excitation, return_attention=True)
    y, returned = map(np.asarray, layer(x))
    z = x.mean((1, 2)) if squeeze == "avg" else x.max((1, 2))
    w1, b1, w2, b2 = (np.asarray(w) for w in layer.weights)
    logits = np.maximum(z @ w1[0, 0] + b1, 0) @ w2[0, 0] + b2
    gate = {"sigmoid": lambda v: 1 / (1 + np.exp(-v)), "tanh": np.tanh, "relu": lambda v: np.maximum(v, 0)}[excitation]
    np.testing.assert_allclose(returned, gate(logits)[:, None, None], atol=1e-5)
    np.testing.assert_allclose(y, x * returned, atol=1e-6)


@pytest.mark.parametrize(
    ("channels", "use_bias", "count"), [(256, False, 8192), (256, True, 8464), (8, True, 8 + 1 + 8 + 8)]
)
def test_parameters_are_the_published_count(channels, use_bias, count):
    layer = SqueezeExcite(reduction=16, use_bias=use_bias)
    layer.build((None, 7, 7, channels))
    assert layer.count_params() == count


def test_takes_maps_of_open_size():
    x = keras.Input((None, None, 8))
    assert SqueezeExcite()(x).shape == (None, None, None, 8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"squeeze": "median"}, "squeeze must be one of"),
        ({"reduction": 0}, "reduction must be an integer of at least 1"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        SqueezeExcite(**options)(image(1, 2, 2, 4))


def test_an_input_that_is_no_map_is_refused():
    with pytest.raises(ValueError, match=r"\(batch, height, width, channels\).*\(2, 8\)"):
        SqueezeExcite()(image(2, 8))
