"""Classifiers answer with probabilities and train on their logits: gradients hold at any gap, on every backend."""

import os

import keras
import numpy as np
import pytest
from keras import layers as L
from support.logs import said
from support.training import arrays, two_output_model

from kattn.graph.outputs import targets_for
from kattn.training.compiling import compile_for

GAPS = 0.0, 1.0, 16.0, 17.0, 30.0, 60.0, 100.0
X = np.ones((1, 1))
# JAX has no float64 by default. Where probabilities of a gap of 100 are 0, as in float32, the gradient is right too.
DOUBLE = keras.backend.backend() != "jax" or os.environ.get("JAX_ENABLE_X64") == "1"
DTYPE, NEAR = ("float64", 1e-13) if DOUBLE else ("float32", 1e-5)


@pytest.fixture(autouse=True)
def precise():
    before = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx(DTYPE)
    keras.config.set_dtype_policy(DTYPE)
    yield
    keras.config.set_floatx(before[0])
    keras.config.set_dtype_policy(before[1])


def nested(x, last):
    inner = keras.Input((1,))
    return keras.Model(inner, last(inner))(x)


SOFTMAX = {
    "fused": lambda x: L.Dense(3, "softmax")(x),
    "activation": lambda x: L.Activation("softmax")(L.Dense(3)(x)),
    "layer": lambda x: L.Softmax()(L.Dense(3)(x)),
    "operation": lambda x: keras.ops.softmax(L.Dense(3)(x)),
    "named": lambda x: L.Identity(name="named")(L.Dense(3, "softmax")(x)),
    "nested": lambda x: nested(x, L.Dense(3, "softmax")),
    "logits": lambda x: L.Dense(3)(x),
}
SIGMOID = {
    "fused": lambda x: L.Dense(1, "sigmoid")(x),
    "activation": lambda x: L.Activation("sigmoid")(L.Dense(1)(x)),
    "operation": lambda x: keras.ops.sigmoid(L.Dense(1)(x)),
}


def compiled(make, **options):
    x = keras.Input((1,))
    model = keras.Model(x, make(x))
    compile_for(model, optimizer=keras.optimizers.SGD(1.0), **options)
    return model


def step(model, kernel, label):
    """Gradient of one training step at rate 1, and the loss before it."""
    variable, bias = model.trainable_variables
    variable.assign(np.array([kernel]))
    bias.assign(np.zeros(bias.shape))
    loss = float(model.test_on_batch(X, label)[0])
    assert float(model.train_on_batch(X, label)[0]) == pytest.approx(loss, rel=1e-6)
    return kernel - keras.ops.convert_to_numpy(variable)[0], loss


@pytest.mark.parametrize("end", SOFTMAX)
def test_the_gradient_of_cross_entropy_holds_at_any_gap(end):
    model = compiled(SOFTMAX[end])
    for gap in GAPS:
        kernel = np.array([gap, 0.0, -gap / 3])
        gradient, loss = step(model, kernel, np.array([2]))
        logarithms = kernel - kernel.max() - np.log(np.exp(kernel - kernel.max()).sum())
        np.testing.assert_allclose(gradient, np.exp(logarithms) - [0, 0, 1], atol=NEAR)
        assert loss == pytest.approx(-logarithms[2], rel=1e-6)


@pytest.mark.parametrize("end", SIGMOID)
def test_the_gradient_of_binary_cross_entropy_holds_at_any_gap(end):
    model = compiled(SIGMOID[end])
    for gap in GAPS:
        gradient, loss = step(model, np.array([gap]), np.array([[0.0]]))
        np.testing.assert_allclose(gradient, [1 / (1 + np.exp(-gap))], atol=NEAR)
        assert loss == pytest.approx(np.logaddexp(0, gap), rel=1e-6)


@pytest.mark.parametrize(
    "loss",
    ["categorical_crossentropy", keras.losses.CategoricalCrossentropy(label_smoothing=0.1)],
    ids=["name", "smoothed"],
)
def test_soft_targets_are_computed_from_logits_too(loss):
    model = compiled(SOFTMAX["fused"], loss=loss)
    kernel, target = np.array([50.0, 0.0, 0.0]), np.array([[0.0, 0.25, 0.75]])
    gradient, _ = step(model, kernel, target)
    if not isinstance(loss, str):
        target = 0.9 * target + 0.1 / 3
    np.testing.assert_allclose(gradient, [1, 0, 0] - target[0], atol=NEAR)


def test_a_loss_that_takes_no_logits_takes_what_the_model_gives():
    model = compiled(SOFTMAX["fused"], loss="mse")
    assert step(model, np.zeros(3), np.array([[1.0, 0.0, 0.0]]))[1] == pytest.approx(2 / 9)


def test_answers_and_metrics_are_of_probabilities_and_files_are_keras_s_own(tmp_path):
    model = compiled(SIGMOID["fused"], metrics=["accuracy", "mae"])
    model.trainable_variables[0].assign([[0.5]])
    loss, accuracy, error = model.evaluate(X, np.ones((1, 1)), verbose=0)
    p = 1 / (1 + np.exp(-0.5))
    assert (loss, accuracy, error) == pytest.approx((-np.log(p), 1.0, 1 - p), rel=1e-5)
    np.testing.assert_allclose(model.predict(X, verbose=0), [[p]], rtol=1e-6)
    plain = keras.models.clone_model(model)
    plain.compile("sgd", "binary_crossentropy", metrics=["accuracy", "mae"])
    assert model.get_compile_config()["loss"] == plain.get_compile_config()["loss"]
    assert model.layers[1].get_config()["activation"] == "sigmoid"
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.evaluate(X, np.ones((1, 1)), verbose=0)[0] == pytest.approx(loss, rel=1e-5)
    model.compile("sgd", "mse")  # another compile takes everything back
    assert model.test_on_batch(X, np.ones((1, 1)), return_dict=True)["loss"] == pytest.approx((1 - p) ** 2, rel=1e-5)


def test_both_branches_of_an_attention_branch_network_are_computed_from_logits():
    keras.utils.set_random_seed(0)
    model = two_output_model(classes=3, attention_map=True)
    compile_for(model, optimizer=keras.optimizers.SGD(0.0))
    images, labels = arrays(8)
    for layer in model.layers:
        if isinstance(layer, L.Dense):
            layer.kernel.assign(5000 * layer.kernel)
    logs = model.evaluate(images, targets_for(model)(labels), return_dict=True, verbose=0)
    assert {"predictions_accuracy", "attention_predictions_accuracy"} <= set(logs)
    assert logs["predictions_loss"] > 17 and logs["attention_predictions_loss"] > 17
    assert logs["loss"] == pytest.approx(logs["predictions_loss"] + logs["attention_predictions_loss"], rel=1e-6)
    answers = model.predict(images, verbose=0)
    np.testing.assert_allclose(answers["predictions"].sum(axis=-1), 1, rtol=1e-6)


def test_a_start_that_is_wrong_by_a_gap_of_30_is_learnt():
    rng = np.random.default_rng(0)
    images, labels = rng.standard_normal((60, 4)), np.repeat([0, 1, 2], 20)
    images[np.arange(60), labels] += 4
    x = keras.Input((4,))
    model = keras.Model(x, L.Dense(3, "softmax", bias_initializer=keras.initializers.Constant([30.0, 0, -30]))(x))
    compile_for(model, optimizer=keras.optimizers.SGD(5.0))
    history = model.fit(images, labels, batch_size=60, epochs=40, verbose=0, shuffle=False).history
    assert history["loss"][0] > 20
    assert history["accuracy"][-1] >= 0.95


def test_probabilities_of_a_layer_of_one_s_own_are_turned_back_and_what_is_unknown_is_said(caplog):
    @keras.saving.register_keras_serializable("test")
    class Own(L.Layer):
        def call(self, x):
            return keras.ops.softmax(x)

    class Scores(L.Layer):
        def call(self, x):
            return 3 * x

    kernel = np.array([20.0, 0.0, 0.0])
    gradient, _ = step(compiled(lambda x: Own()(L.Dense(3)(x))), kernel, np.array([2]))
    np.testing.assert_allclose(gradient, [1, 0, -1], atol=1e-5)
    assert said(caplog) == []
    gradient, _ = step(compiled(lambda x: Scores()(L.Dense(3)(x))), kernel, np.array([2]))
    np.testing.assert_allclose(gradient, [3, 0, -3], atol=1e-5)
    assert "is taken as logits" in caplog.text
