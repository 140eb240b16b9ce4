"""Kinds of outputs: by the last operation, by the loss, by values, or as stated."""

import keras
import numpy as np
import pytest
from keras import ops

from kattn.evaluation.answers import answers
from kattn.facts.description import KINDS
from kattn.facts.kind_of_values import kind_of_values
from kattn.facts.kinds import describe_outputs

L = keras.layers


def output_kinds(model, stated=None):
    return {name: output.kind.value for name, output in describe_outputs(model, stated).items()}


@keras.saving.register_keras_serializable("tests")
class OwnSoftmax(L.Layer):
    def call(self, x):
        return ops.softmax(x)


class OwnScale(L.Layer):
    def call(self, x):
        return 3 * x


def of(end, size=6):
    """A model that ends as said: `end` is given a map (size, size, 4)."""
    image = keras.Input((size, size, 3))
    return keras.Model(image, end(L.Conv2D(4, 3, padding="same")(image)))


def pooled(x):
    return L.GlobalAveragePooling2D()(x)


CASES = {
    "softmax": (lambda x: L.Dense(5, "softmax")(pooled(x)), "classes"),
    "softmax layer": (lambda x: L.Softmax()(L.Dense(5)(pooled(x))), "classes"),
    "ops.softmax": (lambda x: ops.softmax(L.Dense(5)(pooled(x))), "classes"),
    "log-softmax": (lambda x: L.Dense(5, "log_softmax")(pooled(x)), "classes"),
    "softmax, then float32": (
        lambda x: L.Activation("linear", dtype="float32")(L.Dense(5, "softmax")(pooled(x))),
        "classes",
    ),
    "softmax, then ops.cast": (lambda x: ops.cast(L.Dense(5, "softmax")(pooled(x)), "float16"), "classes"),
    "own softmax": (lambda x: OwnSoftmax()(L.Dense(5)(pooled(x))), "classes"),
    "mean of two": (
        lambda x: L.Average()([L.Dense(5, "softmax")(pooled(x)), L.Dense(5, "softmax")(pooled(x))]),
        "classes",
    ),
    "logits": (lambda x: L.Dense(5, name="logits")(pooled(x)), "classes"),
    "sigmoid": (lambda x: L.Dense(1, "sigmoid")(pooled(x)), "binary"),
    "ops.sigmoid": (lambda x: ops.sigmoid(L.Dense(1)(pooled(x))), "binary"),
    "sigmoid, squeezed": (lambda x: ops.squeeze(L.Dense(1, "sigmoid")(pooled(x)), -1), "binary"),
    "sigmoids": (lambda x: L.Dense(7, "sigmoid")(pooled(x)), "attributes"),
    "numbers": (lambda x: L.Dense(2)(pooled(x)), "values"),
    "one number": (lambda x: L.Dense(1)(pooled(x)), "values"),
    "tanh": (lambda x: L.Dense(2, "tanh")(pooled(x)), "values"),
    "own numbers": (lambda x: OwnScale()(L.Dense(2)(pooled(x))), "values"),
    "segmentation": (lambda x: L.Conv2D(3, 1, activation="softmax")(x), "map"),
    "mask": (lambda x: L.Conv2D(1, 1, activation="sigmoid")(x), "map"),
    "softmax, reshaped": (lambda x: L.Reshape((36, 3))(L.Conv2D(3, 1, activation="softmax")(x)), "map"),
    "text": (lambda x: L.Dense(8, "softmax")(L.LSTM(4, return_sequences=True)(L.Reshape((6, 24))(x))), "map"),
    "attention over positions": (lambda x: L.Softmax(axis=[1, 2])(x), "values"),
    "enlarged picture": (lambda x: L.Conv2D(3, 1)(L.UpSampling2D()(x)), "values"),
    "pooled": (pooled, "embedding"),
    "unit length": (lambda x: L.UnitNormalization()(L.Dense(8)(pooled(x))), "embedding"),
    "ops.normalize": (lambda x: ops.normalize(L.Dense(8)(pooled(x)), axis=-1), "embedding"),
    "argmax": (lambda x: ops.argmax(L.Dense(5)(pooled(x)), axis=-1), "integers"),
    "argmax a pixel": (lambda x: ops.argmax(x, axis=-1), "integers"),
    "nested": (
        lambda x: keras.Sequential([keras.Input((6, 6, 4)), L.Flatten(), L.Dense(3, "softmax")])(x),
        "classes",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_last_operation_tells_the_kind(name):
    end, kind = CASES[name]
    model = of(end)
    assert output_kinds(model) == {"predictions": kind}
    assert kind in KINDS and describe_outputs(model)["predictions"].kind.origin in ("model", "measured")


@pytest.mark.parametrize("end", [lambda x: L.Dense(5, "log_softmax")(x), lambda x: ops.log_softmax(L.Dense(5)(x))])
def test_logarithms_of_probabilities_are_not_called_probabilities_and_are_told_as_these(end):
    found = describe_outputs(of(lambda x: end(pooled(x))))["predictions"]
    assert found.kind.value == "classes" and found.kind.detail.startswith("log_softmax of")
    assert found.activated is None
    shares = np.array([[0.7, 0.1, 0.2]])
    (told,) = answers(np.log(shares), ["a.png"], kind="classes", activated=found.activated)
    assert np.allclose(told.values, shares[0])


@pytest.mark.parametrize(
    ("units", "loss", "kind", "activated"),
    [
        (5, keras.losses.SparseCategoricalCrossentropy(from_logits=True), "classes", False),
        (5, "binary_crossentropy", "attributes", False),
        (1, keras.losses.BinaryCrossentropy(from_logits=True), "binary", False),
        (5, "mse", "values", None),
        (5, keras.losses.cosine_similarity, "embedding", None),
    ],
)
def test_what_a_linear_layer_means_is_said_by_the_loss(units, loss, kind, activated):
    model = of(lambda x: L.Dense(units)(pooled(x)))
    model.compile(loss=loss)
    (found,) = describe_outputs(model).values()
    assert (found.kind.value, found.kind.origin, found.activated) == (kind, "compiled", activated)


def test_several_outputs_have_a_kind_each():
    model = of(lambda x: {"what": L.Dense(3, "softmax")(pooled(x)), "a_map": L.Conv2D(2, 1, activation="softmax")(x)})
    assert output_kinds(model) == {"what": "classes", "a_map": "map"}
    model.compile(loss={"what": "mse"})
    assert output_kinds(model)["what"] == "classes"  # the graph says so, whatever it was trained with
    nested = keras.Model(image := keras.Input((6, 6, 3)), model(image))
    assert output_kinds(nested) == {"what": "classes", "a_map": "map"}


def test_what_is_stated_counts():
    model = of(lambda x: L.Dense(5)(pooled(x)))
    assert describe_outputs(model, {"predictions": "classes"})["predictions"].kind.origin == "stated"
    with pytest.raises(ValueError, match=r"'classe'.*classes"):
        output_kinds(model, {"predictions": "classe"})
    with pytest.raises(ValueError, match=r"'prediction'.*predictions"):
        output_kinds(model, {"prediction": "classes"})


def test_a_model_is_left_as_it_is():
    model = of(lambda x: L.Dense(5, "softmax")(pooled(x)))
    layers, inputs = list(model.layers), model.inputs
    output_kinds(model)
    assert model.layers == layers and model.inputs is inputs


def test_values_tell_classes_and_integers_only():
    rows = np.random.default_rng(0).dirichlet(np.ones(4), 6)
    assert kind_of_values(rows).value == "classes"
    assert kind_of_values(rows.reshape(2, 3, 4)).value == "map"
    assert kind_of_values(rows[:, :2]).value == "values"
    assert kind_of_values(rows[:, :1]).value == "values"
    assert kind_of_values(rows.argmax(1)).value == "integers"
