import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.layer_checks import PROPERTY, image

from kattn.layers.pieces.norms import BatchNormalization, batch_norm

on_tensorflow = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="The kernel is TensorFlow's.")


def twins(x, **options):
    """Ours and Keras's, built, with the same weights away from their start."""
    pair = BatchNormalization(**options), keras.layers.BatchNormalization(**options)
    rng = np.random.default_rng(0)
    for layer in pair:
        layer.build(x.shape)
    weights = [rng.uniform(0.5, 2, w.shape).astype("float32") for w in pair[0].weights]
    for layer in pair:
        layer.set_weights(weights)
    return pair


def as_references(weights, before, x, momentum=0.99):
    """Keras's weights after a step, with the population's variance taken up where Keras takes up the batch's."""
    *others, variance = weights
    count = x.size / x.shape[-1]
    kept = momentum * before[-1]
    return [*others, kept + (variance - kept) * count / max(count - 1, 1)]


def step(layer, x, weight):
    """Output, the gradients for the input, gamma and beta, and the weights after a step of training."""
    import tensorflow as tf

    @tf.function
    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=True)
            loss = tf.reduce_sum(tf.cast(y, "float32") * weight)
        return y, tape.gradient(loss, [x, *(w.value for w in layer.trainable_variables)])

    y, gradients = run(tf.convert_to_tensor(x))
    return [np.asarray(a, "float32") for a in (y, *gradients, *layer.get_weights())]


def test_behaves_as_a_layer_should(check_layer):
    check_layer(batch_norm(), image(2, 5, 4, 8))


@on_tensorflow
@PROPERTY
@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 5), st.booleans(), st.booleans())
def test_a_step_of_training_gives_keras_s_numbers_and_gradients_and_the_references_variance(
    batch, side, channels, scale, center
):
    x = 3 * image(batch, side, side + 1, channels) + 1
    weight = image(*x.shape, seed=1)
    ours, plain = twins(x, scale=scale, center=center, epsilon=1e-5, momentum=0.9)
    before = plain.get_weights()
    for a, b in zip(step(ours, x, weight), as_references(step(plain, x, weight), before, x, 0.9), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-4)


@on_tensorflow
@pytest.mark.parametrize(("dtype", "tolerance"), [("float16", 4e-3), ("bfloat16", 3e-2)])
def test_half_precision_maps_stay_half_and_statistics_stay_float32(dtype, tolerance):
    x = 2 * image(4, 6, 6, 8) + 1
    ours, plain = (t for t in twins(x, dtype=keras.DTypePolicy(f"mixed_{dtype}"), momentum=0.9))
    before = plain.get_weights()
    y = ours(x, training=True)
    assert keras.backend.standardize_dtype(y.dtype) == dtype
    assert all(w.dtype == "float32" for w in ours.weights)
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(keras.ops.cast(y, "float32")),
        keras.ops.convert_to_numpy(keras.ops.cast(plain(x, training=True), "float32")),
        rtol=tolerance,
        atol=tolerance,
    )
    for a, b in zip(ours.get_weights(), as_references(plain.get_weights(), before, x, 0.9), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3)


@on_tensorflow
def test_the_kernel_runs_in_training_alone():
    import tensorflow as tf

    layer = batch_norm()
    x = image(2, 4, 4, 3)
    layer.build(x.shape)

    def kernels(**options):
        graph = tf.function(lambda x: layer(x, **options)).get_concrete_function(x).graph
        return sum(op.type == "FusedBatchNormV3" for op in graph.get_operations())

    assert kernels(training=True) == 1
    assert kernels(training=False) == 0
    layer.trainable = False
    assert kernels(training=True) == 0


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((4, 6), {}),
        ((2, 3, 4, 5, 6), {}),
        ((2, 4, 5, 6), {"axis": 1}),
        pytest.param((2, 4, 5, 6), {"dtype": "float64"}, marks=on_tensorflow),  # JAX has none by default
    ],
)
def test_what_the_kernel_does_not_take_trains_as_in_keras(shape, options):
    x = image(*shape)
    ours, plain = twins(x, **options)
    before = plain.get_weights()
    a, b = (keras.ops.convert_to_numpy(layer(x, training=True)) for layer in (ours, plain))
    np.testing.assert_array_equal(a, b)
    channels_last = np.moveaxis(x, options.get("axis", -1), -1)
    for a, b in zip(ours.get_weights(), as_references(plain.get_weights(), before, channels_last), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_the_moving_variance_is_torch_s():
    """0.9 of one, and a tenth of the unbiased variance of 1, 2, 3, 4, which is 5/3 (torch.nn.BatchNorm2d: 1.066667)."""
    layer = batch_norm()
    layer(np.arange(1, 5, dtype="float32").reshape(1, 2, 2, 1), training=True)
    np.testing.assert_allclose(layer.get_weights()[-1], 0.9 + 0.1 * 5 / 3, rtol=1e-6)


def test_masked_places_do_not_count_in_training():
    x = image(2, 4, 4, 3)
    mask = np.arange(32).reshape(2, 4, 4) % 3 > 0
    ours, plain = twins(x)
    a, b = (keras.ops.convert_to_numpy(layer(x, training=True, mask=mask)) for layer in (ours, plain))
    np.testing.assert_array_equal(a, b)


def test_files_name_its_weights_as_keras_does():
    """So that weights pass between models of ours and of plain Keras."""
    ours, plain = twins(image(2, 4, 4, 3), name="norm")
    assert [w.path for w in ours.weights] == [w.path for w in plain.weights]
    assert keras.models.Sequential([batch_norm()]).layers[0].name.startswith("batch_normalization")
