import keras
import numpy as np
import pytest
from keras import ops

from kattn.layers import SpectralNorm

LAYERS = {
    "conv": lambda: keras.layers.Conv2D(5, 3, use_bias=False),
    "transposed": lambda: keras.layers.Conv2DTranspose(5, 4, strides=2, use_bias=False),
    "dense": lambda: keras.layers.Dense(5, use_bias=False),
}


def image(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def numbers(x):
    return ops.convert_to_numpy(x)


def largest_singular_value(norm):
    kernel = numbers(norm.layer.kernel)
    return np.linalg.svd(kernel.reshape(-1, kernel.shape[-1]), compute_uv=False)[0]


@pytest.fixture(params=LAYERS)
def norm(request):
    norm = SpectralNorm(LAYERS[request.param]())
    norm.build((None, 4, 4, 3))
    return norm


def test_behaves_as_a_layer_should(check_layer):
    check_layer(SpectralNorm(keras.layers.Conv2D(5, 3)), image(2, 5, 4, 3))


def test_a_new_layer_is_normalised(norm):
    """The layer is linear: its output is the plain layer's divided by sigma, which fifteen steps find well."""
    x = image(2, 4, 4, 3)
    plain, y = numbers(norm.layer(x)), numbers(norm(x))
    sigma = np.sum(plain * y) / np.sum(y * y)
    np.testing.assert_allclose(y * sigma, plain, atol=1e-4)
    assert sigma == pytest.approx(largest_singular_value(norm), rel=0.02)


def test_training_steps_lead_to_the_largest_singular_value(norm):
    x = image(1, 4, 4, 3)
    for _ in range(200):
        norm(x, training=True)
    sigma = np.linalg.norm(numbers(norm.layer(x))) / np.linalg.norm(numbers(norm(x)))
    assert sigma == pytest.approx(largest_singular_value(norm), rel=1e-3)


def test_training_makes_the_stated_steps():
    norm = SpectralNorm(keras.layers.Dense(4, use_bias=False), power_iterations=2)
    norm.build((None, 3))
    x, w, u = image(2, 3), numbers(norm.layer.kernel).T, image(4)
    norm.u.assign(u)
    for _ in range(2):
        v = w.T @ u / np.linalg.norm(w.T @ u)
        u = w @ v / np.linalg.norm(w @ v)
    y = numbers(norm(x, training=True))
    np.testing.assert_allclose(y, x @ (w / (u @ w @ v)).T, atol=1e-5)
    np.testing.assert_allclose(numbers(norm.u), u, atol=1e-5)
    np.testing.assert_allclose(numbers(norm.v), v, atol=1e-5)


def test_inference_repeats_the_last_training_call_and_changes_nothing(norm):
    x = image(1, 4, 4, 3)
    norm.u.assign(image(*norm.u.shape))  # far from converged
    kernel = numbers(norm.layer.kernel).copy()
    y = numbers(norm(x, training=True))
    state = [numbers(w).copy() for w in norm.weights]
    for _ in range(2):
        np.testing.assert_allclose(numbers(norm(x)), y, atol=1e-5)
    for before, after in zip(state, norm.weights, strict=True):
        np.testing.assert_array_equal(numbers(after), before)
    np.testing.assert_array_equal(numbers(norm.layer.kernel), kernel)


def test_the_vectors_are_not_trained(norm):
    assert [w.name for w in norm.trainable_weights] == ["kernel"]


def test_a_kernel_of_zeros_stays_and_recovers():
    norm = SpectralNorm(keras.layers.Dense(4, kernel_initializer="zeros", use_bias=False))
    x = image(2, 3)
    np.testing.assert_array_equal(numbers(norm(x, training=True)), 0.0)
    norm.layer.kernel.assign(image(3, 4, seed=1))
    for _ in range(100):
        norm(x, training=True)
    sigma = np.linalg.norm(numbers(norm.layer(x))) / np.linalg.norm(numbers(norm(x)))
    assert sigma == pytest.approx(largest_singular_value(norm), rel=1e-2)


@pytest.mark.parametrize(
    ("layer", "options", "message"),
    [
        (keras.layers.ReLU, {}, "a layer with a kernel"),
        (LAYERS["dense"], {"power_iterations": 0}, "power_iterations must be at least 1"),
    ],
)
def test_bad_options_are_named(layer, options, message):
    with pytest.raises(ValueError, match=message):
        SpectralNorm(layer(), **options).build((None, 3))
