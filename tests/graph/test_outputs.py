import keras
import numpy as np
import pytest
from support.training import arrays, tiny_model, two_output_model

from kattn.graph.outputs import class_count, class_outputs, main_output, targets_for


def test_one_output_takes_labels_as_they_are():
    model = tiny_model()
    labels = np.arange(3)
    assert targets_for(model)(labels) is labels
    assert main_output(model) is None
    assert class_count(model) == 10


def test_every_classification_takes_the_labels_and_the_main_one_is_first():
    model = two_output_model(attention_map=True)
    assert class_outputs(model) == ["predictions", "attention_predictions"]
    assert targets_for(model)("loss") == {"predictions": "loss", "attention_predictions": "loss"}
    assert set(targets_for(model)(np.arange(3))) == {"predictions", "attention_predictions", "attention_map"}
    assert main_output(model) == "predictions"
    assert class_count(model) == 10


@pytest.mark.parametrize("attention_map", [False, True])
def test_plain_compile_and_fit_train_both_branches(attention_map):
    model = two_output_model(classes=3, attention_map=attention_map)
    per_output = targets_for(model)
    model.compile("sgd", loss=per_output("sparse_categorical_crossentropy"), metrics=per_output(["accuracy"]))
    images, labels = arrays(12)
    before = [np.array(w) for w in model.get_weights()]
    history = model.fit(images, per_output(labels), batch_size=4, verbose=0).history
    assert {"predictions_accuracy", "attention_predictions_accuracy"} <= set(history)
    assert history["loss"][0] == pytest.approx(
        history["predictions_loss"][0] + history["attention_predictions_loss"][0], rel=0.2
    )
    assert all(not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_outputs_that_cannot_be_named_are_an_error():
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Flatten()(inputs)
    with pytest.raises(ValueError, match="a list of 2 outputs"):
        targets_for(keras.Model(inputs, [keras.layers.Dense(2)(x), keras.layers.Dense(2)(x)]))
    with pytest.raises(ValueError, match=r"None of the outputs map .* has the shape \(batch, classes\)"):
        targets_for(keras.Model(inputs, {"map": keras.layers.Conv2D(1, 1)(inputs)}))
