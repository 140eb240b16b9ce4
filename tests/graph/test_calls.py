"""A model's graph is read call by call: names, order, tensors, and the model left as it is."""

import keras
from keras import layers
from support.models import largest_difference, pixels

from kattn.graph.calls import follow, free_name


def names(model, **options):
    """The names of a model's calls, and the model that they make."""
    found = []

    def note(call):
        found.append(call.name)
        return call.run()

    return found, follow(model, note, **options)


def branched():
    """Two inputs, one layer that is called on both, and an operation."""
    one, two = keras.Input((8, 8, 3), name="one"), keras.Input((8, 8, 3), name="two")
    shared = layers.Conv2D(4, 3, padding="same", name="shared")
    total = shared(one) + layers.ReLU(name="relu")(shared(two))
    outputs = {"map": total, "mean": layers.GlobalAveragePooling2D(name="mean")(total)}
    return keras.Model({"one": one, "two": two}, outputs, name="branched")


def sequential():
    return keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(3, 3, name="conv"), layers.ReLU(name="relu")])


def test_a_call_has_its_layers_name_and_a_number_where_the_layer_is_called_again():
    found, _ = names(branched())
    assert found == ["shared", "shared#2", "relu", found[3], "mean"] and found[3].startswith("add")
    assert names(branched(), prefix="net/")[0][:2] == ["net/shared", "net/shared#2"]


def test_names_are_the_same_after_saving_and_whatever_else_a_layer_is_called_on(tmp_path):
    model = branched()
    found, _ = names(model)
    model.get_layer("shared")(keras.Input((4, 4, 3)))  # a call that is none of the model's
    assert names(model)[0] == found
    model.save(tmp_path / "model.keras")
    again, _ = names(keras.saving.load_model(tmp_path / "model.keras"))
    assert [name for name in again if "add" not in name] == [name for name in found if "add" not in name]


def test_what_is_followed_computes_the_same_and_the_model_is_left_alone():
    model = branched()
    model.compile("adam", "mse")
    made_by = model.output["mean"]._keras_history.operation
    _, again = names(model)
    x = {"one": pixels((2, 8, 8, 3)), "two": pixels((2, 8, 8, 3), 1)}
    assert set(again.input) == {"one", "two"} and set(again.output) == {"map", "mean"}
    assert [layer.name for layer in again.layers if "put" in type(layer).__name__] == ["one", "two"]
    assert largest_difference(again(x), model(x)) == 0
    assert not again.compiled and model.output["mean"]._keras_history.operation is made_by


def test_calls_may_give_something_else():
    double = follow(sequential(), lambda call: 2 * call.run() if call.name == "relu" else call.run())
    x = pixels((1, 8, 8, 3))
    plain = sequential()
    plain.set_weights(double.get_weights())
    assert largest_difference(double(x), 2 * plain(x)) == 0


def test_a_call_knows_its_tensors():
    calls = []
    follow(branched(), lambda call: calls.append(call) or call.run())
    add = next(call for call in calls if len(call.inputs) == 2)
    assert [tuple(t.shape) for t in add.inputs] == [(None, 8, 8, 4)] * 2
    assert add.gives_map and [tuple(t.shape) for t in add.results] == [(None, 8, 8, 4)]
    assert not next(call for call in calls if call.name == "mean").gives_map


def test_a_free_name_has_a_number_where_it_is_taken():
    assert free_name("model/conv#2", set()) == "model_conv_2"
    assert free_name("conv", {"conv", "conv_2"}) == "conv_3"
