import keras
import numpy as np
import pytest
from support.training import arrays, tiny_model, two_output_model

from kattn.graph.outputs import choose_output, class_count, class_outputs, main_output, named_outputs, targets_for


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


# ---------------------------------------------------------------- names


def several_outputs():
    """One layer that gives the first two outputs, and another one."""
    inputs = keras.Input((4,))
    twice = keras.layers.Dense(2, name="twice")
    return inputs, [twice(inputs), twice(keras.layers.ReLU()(inputs)), keras.layers.Dense(3, name="once")(inputs)]


def test_outputs_have_one_name_each():
    inputs, (first, second, third) = several_outputs()
    outputs = named_outputs(keras.Model(inputs, [first, second, third]))
    assert list(outputs) == ["twice", "twice_2", "once"] and outputs["twice_2"].shape == (None, 2)
    assert list(named_outputs(keras.Model(inputs, {"b": first, "a": third}))) == ["b", "a"]
    for single in (third, [third]):
        assert list(named_outputs(keras.Model(inputs, single))) == ["predictions"]
    assert list(named_outputs(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]))) == ["predictions"]


def test_results_are_named_like_the_outputs():
    inputs, outputs = several_outputs()
    model = keras.Model(inputs, outputs)
    results = named_outputs(model, model.predict_on_batch(np.zeros((5, 4), "float32")))
    assert {name: value.shape for name, value in results.items()} == {
        "twice": (5, 2),
        "twice_2": (5, 2),
        "once": (5, 3),
    }


def test_an_output_is_chosen_by_name_or_index():
    names = ["map", "predictions"]
    assert [choose_output(names, wanted, "net") for wanted in (None, "map", 0, 1)] == [
        *("predictions", "map", "map", "predictions")
    ]
    assert choose_output(["a", "b"], None, "net") == "a"
    for wanted in ("mapp", 2, -1, True, 1.0):
        with pytest.raises(ValueError, match=r"model 'net' has the outputs map, predictions\. Received: output="):
            choose_output(names, wanted, "net")


def test_a_sequential_model_has_one_output():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(7)])
    assert (main_output(model), class_count(model), targets_for(model)("loss")) == (None, 7, "loss")
