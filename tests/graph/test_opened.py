"""A graph with nested models opened: what every explanation starts from."""

import keras
import pytest
from keras import layers
from support.models import largest_difference, pixels

from kattn.graph.calls import Call
from kattn.graph.opened import Graph
from kattn.layers import SqueezeExcite


def two_inputs():
    one, two = keras.Input((8, 8, 3)), keras.Input((8, 8, 3))
    return keras.Model([one, two], layers.Add()([one, two]), name="pair")


def sequential():
    return keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(3, 3, name="conv"), layers.ReLU(name="relu")])


def nested():
    """A Sequential in a functional model in a functional model; the inner one is called twice."""
    inside = keras.Input((8, 8, 3))
    conv = layers.Conv2D(3, 3, padding="same", name="conv")
    inner = keras.Sequential([keras.Input((8, 8, 3)), conv], name="inner")
    middle = keras.Model(inside, inner(layers.ReLU(name="relu")(inner(inside))), name="middle")
    image = keras.Input((8, 8, 3), name="picture")
    return keras.Model(image, layers.Conv2D(2, 1, name="last")(middle(image)), name="outer")


def test_a_graph_has_the_layer_calls_of_nested_models():
    model = nested()
    graph = Graph(model)
    assert [call.name for call in graph.calls] == [
        *("middle/inner/conv", "middle/relu", "middle/inner#2/conv", "last"),
    ]
    x = pixels((2, 8, 8, 3))
    assert largest_difference(graph.model(graph.output)(x), model(x)) < 1e-5
    assert [call.name for call in graph.maps()] == [call.name for call in graph.calls]
    assert graph.source_of(graph.output).name == "last" and graph.source_of(graph.image) is None


def test_a_layer_is_found_by_its_path_or_by_its_own_name_where_only_one_has_it():
    graph = Graph(nested())
    assert graph.find("middle/relu") is graph.find("relu")
    with pytest.raises(ValueError, match="'conv' is in several places: middle/inner/conv, middle/inner#2/conv"):
        graph.find("conv")
    with pytest.raises(ValueError, match=r"model 'outer' has no layer 'middl/relu'; closest: middle/relu"):
        graph.find("middl/relu")


def loaded(name):
    """A model as it comes out of a file: its layers and operations have the names that another model's have, too."""
    image = keras.Input((8, 8, 3), name="image")
    x = SqueezeExcite(2, name="gate")(layers.Conv2D(3, 3, padding="same", name="conv")(image))
    add = keras.ops.add(x, image)
    add._keras_history.operation.name = "add"
    return keras.Model(image, add, name=name)


def test_models_whose_layers_have_the_same_names_are_opened_side_by_side(tmp_path):
    image = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(3, 1, name="conv")(loaded("two")(loaded("one")(image)))
    model = keras.Model(image, layers.GlobalAveragePooling2D()(x))
    graph = Graph(model)
    names = ["one/conv", "one/gate", "two/conv", "two/gate", "conv"]
    assert [call.name for call in graph.calls[:-1]] == names
    assert [call.name for call in graph.maps()] == names
    assert [call.alias for call in graph.calls[:-1]] == [None, None, "two_conv", "two_gate", "conv_2"]
    again = graph.model(graph.output)
    x = pixels((2, 8, 8, 3))
    assert largest_difference(again(x), model(x)) == 0
    again.save(tmp_path / "again.keras")
    assert largest_difference(keras.saving.load_model(tmp_path / "again.keras")(x), model(x)) == 0


def test_a_sequential_model_and_an_open_size_are_read_too():
    open_size = keras.Sequential([keras.Input((None, None, 3)), layers.Conv2D(3, 3, name="conv")])
    graph = Graph(open_size, image_shape=(8, 6, 3))
    assert graph.image.shape == (None, 8, 6, 3) and graph.output.shape == (None, 6, 4, 3)
    assert [call.name for call in Graph(sequential()).calls] == ["conv", "relu"]


def test_calls_of_a_graph_may_be_made_otherwise():
    made = []

    def visit(call: Call):
        made.append(call.name)
        return call.run()

    graph = Graph(nested(), visit=visit)
    assert made == [call.name for call in graph.calls]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (two_inputs, "An explanation needs a model of one input; 'pair' has 2"),
        (
            lambda: keras.Sequential([layers.ReLU()]),
            "An explanation needs a functional .* It is not built: start it with",
        ),
        (lambda: 3, "An explanation needs a functional .* Received: int ''. Wrap a subclassed model"),
    ],
)
def test_what_is_no_graph_of_an_image_is_an_error(make, message):
    with pytest.raises(ValueError, match=message):
        Graph(make())
