import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops
from support.layer_checks import outputs_and_gradients

from kattn.layers import SecondOrderChannelAttention
from kattn.layers.san_soca import mean_of_covariance_root


def features(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def root_mean(x, iterations):
    return ops.convert_to_numpy(mean_of_covariance_root(ops.convert_to_tensor(x), iterations))


def newton_schulz(x, iterations):
    """As the authors' code writes it, for one sample in float64."""
    x = x.astype("float64") - x.mean(0, dtype="float64")
    covariance, eye = x.T @ x / len(x), np.eye(x.shape[1])
    a = covariance / np.trace(covariance)
    y, z = a @ (3 * eye - a) / 2, (3 * eye - a) / 2
    for _ in range(iterations - 2):
        t = (3 * eye - z @ y) / 2
        y, z = y @ t, t @ z
    y = y @ (3 * eye - z @ y) / 2 if iterations > 1 else y
    return y.mean(0) * np.sqrt(np.trace(covariance))


def test_behaves_as_a_layer_should(check_layer):
    check_layer(SecondOrderChannelAttention(reduction=2, crop=4), features(2, 5, 6, 6))


def test_gives_its_gate_on_request(check_layer):
    x = features(2, 5, 6, 6)
    layer = SecondOrderChannelAttention(reduction=2, return_attention=True)
    check_layer(layer, x)
    y, gate = map(ops.convert_to_numpy, layer(x))
    assert gate.shape == (2, 1, 1, 6) and gate.min() > 0 and gate.max() < 1
    np.testing.assert_allclose(y, x * gate, atol=1e-6)


def test_parameters_are_the_published_count():
    layer = SecondOrderChannelAttention()
    layer.build((None, 8, 8, 64))
    assert layer.count_params() == 580


@pytest.mark.parametrize("iterations", [1, 2, 3, 5, 8])
def test_iterations_are_newton_schulz(iterations):
    x = features(2, 30, 8)
    want = [newton_schulz(sample, iterations) for sample in x]
    np.testing.assert_allclose(root_mean(x, iterations)[:, 0], want, atol=1e-5)


def test_many_iterations_find_the_square_root_and_five_do_not():
    x = features(1, 200, 5)
    values, vectors = np.linalg.eigh(np.cov(x[0].T, bias=True))
    exact = (vectors * np.sqrt(values) @ vectors.T).mean(0)
    np.testing.assert_allclose(root_mean(x, 20)[0, 0], exact, atol=1e-4)
    assert np.max(np.abs(root_mean(x, 3)[0, 0] - exact)) > 1e-2


@settings(max_examples=10, deadline=None, derandomize=True)
@given(st.integers(2, 40), st.integers(1, 8), st.floats(1e-6, 1e6), st.floats(-10, 10), st.integers(0, 99))
def test_the_root_is_as_large_as_the_features_and_blind_to_order_and_offset(count, channels, scale, offset, seed):
    """Covariance: R(s x + c) = s R(x), and a sum over positions has no order."""
    x = features(1, count, channels, seed=seed)
    want = root_mean(x, 5) * scale
    got = root_mean((x[:, ::-1] * np.float32(scale) + np.float32(offset * scale)).astype("float32"), 5)
    np.testing.assert_allclose(got / scale, want / scale, atol=1e-4)


@pytest.mark.parametrize("value", [0.0, 0.1, 1.0, 1e4, 1e30])
@pytest.mark.parametrize("size", [(1, 1), (7, 5)])
def test_constant_maps_give_a_finite_gate_and_gradient(value, size):
    """The authors' code divides by a trace of zero here and returns NaN."""
    layer = SecondOrderChannelAttention(reduction=2)
    x = np.full((2, *size, 4), value, "float32")
    layer.build(x.shape)
    for found in outputs_and_gradients(layer, x):
        assert np.all(np.isfinite(found))
    np.testing.assert_allclose(ops.convert_to_numpy(layer(x)), 0.5 * x, rtol=1e-3)  # gate: sigmoid(0)


def test_a_single_varying_pixel_is_finite():
    x = np.zeros((1, 6, 6, 4), "float32")
    x[0, 2, 3, 1] = 1e-20
    layer = SecondOrderChannelAttention(reduction=2)
    layer.build(x.shape)
    assert all(np.all(np.isfinite(found)) for found in outputs_and_gradients(layer, x))


def test_long_sides_are_cropped_to_their_centre():
    x = features(1, 9, 6, 4)
    cropped, whole = (
        SecondOrderChannelAttention(reduction=2, crop=6),
        SecondOrderChannelAttention(reduction=2, crop=None),
    )
    inside = x[:, 1:7]
    cropped.build(x.shape)
    whole.build(x.shape)
    cropped.reduce.bias.assign(ops.ones_like(cropped.reduce.bias))  # a hidden unit that is off would hide z
    whole.set_weights(cropped.get_weights())
    y = ops.convert_to_numpy(cropped(x))
    np.testing.assert_allclose(y[:, 1:7], ops.convert_to_numpy(whole(inside)), atol=1e-6)
    assert np.max(np.abs(y - ops.convert_to_numpy(whole(x)))) > 1e-4


def test_takes_maps_of_open_size():
    symbol = keras.Input((None, None, 4))
    layer = SecondOrderChannelAttention(reduction=2, crop=3)
    model = keras.Model(symbol, layer(symbol))
    x = features(2, 5, 2, 4)
    np.testing.assert_allclose(model.predict(x, verbose=0), ops.convert_to_numpy(layer(x)), atol=1e-6)


def test_no_iteration_is_refused():
    with pytest.raises(ValueError, match="iterations must be at least 1"):
        SecondOrderChannelAttention(iterations=0)
