"""What a mechanism can be: a name, a class, a function that makes a layer, or a layer to copy."""

import functools

import keras
import pytest
from keras import layers
from support.models import largest_difference
from support.residual import added

import kattn


class Gate(layers.Layer):
    """A user's layer that takes the arguments of all Keras layers."""

    def __init__(self, factor=1.0, **options):
        super().__init__(**options)
        self.factor = factor

    def build(self, shape):
        self.scale = self.add_weight(shape=(shape[-1],), initializer="ones", name="scale")

    def call(self, x):
        return x * keras.ops.sigmoid(self.factor * self.scale)


class PlainGate(Gate):
    """A user's layer that takes its own arguments only."""

    def __init__(self, factor=1.0):
        super().__init__(factor)


def built(layer):
    layer.build((None, 8, 8, 16))
    return layer


ONE = Gate(2.0)
WAYS = {
    "class": (Gate, {}, 1.0),
    "class with options": (Gate, {"factor": 2.0}, 2.0),
    "plain class": (PlainGate, {}, 1.0),
    "function": (lambda: Gate(), {}, 1.0),
    "function of a plain class": (lambda: PlainGate(2.0), {}, 2.0),
    "function with options": (lambda factor: Gate(factor), {"factor": 2.0}, 2.0),
    "function of the name": (lambda name: Gate(2.0, name=name), {}, 2.0),
    "function of anything": (lambda **common: Gate(2.0, **common), {}, 2.0),
    "function of one layer": (lambda: ONE, {}, 2.0),
    "partial": (functools.partial(Gate, factor=2.0), {}, 2.0),
    "partial of a plain class": (functools.partial(PlainGate, 2.0), {}, 2.0),
    "layer": (ONE, {}, 2.0),
    "plain layer": (PlainGate(2.0), {}, 2.0),
    "built layer": (built(Gate(2.0)), {}, 2.0),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_place_gets_a_block_of_its_own(model, images, way):
    mechanism, options, factor = WAYS[way]
    new = kattn.insert(model, mechanism, "output", **options)
    gates = [layer for layer in added(new, model) if isinstance(layer, Gate)]
    title = "plaingate" if "plain" in way else "gate"
    assert [gate.name for gate in gates] == [f"stage{stage}_block1_out_{title}" for stage in (1, 2)]
    assert [weight.path for gate in gates for weight in gate.weights] == [f"{gate.name}/scale" for gate in gates]
    assert {gate.factor for gate in gates} == {factor}
    assert largest_difference(new(images), model(images)) == 0


def test_a_layer_that_is_given_stays_as_it_was(model):
    gate = Gate(2.0, name="mine")
    for mechanism in (gate, lambda: gate):
        kattn.insert(model, mechanism)
        assert (gate.name, gate.built, gate.weights) == ("mine", False, [])


def test_a_function_may_make_another_layer_for_each_place(model):
    new = kattn.insert(model, lambda name: Gate(float(name[5]) if name != "block" else 0.0, name=name), "output")
    assert [layer.factor for layer in added(new, model) if isinstance(layer, Gate)] == [1.0, 2.0]


def test_a_named_function_gives_its_name(model):
    def half(**common):
        return layers.SpatialDropout2D(0.5, **common)

    assert [layer.name for layer in added(kattn.insert(model, half, "stem_relu"), model)] == ["stem_relu_half"]


def test_options_of_the_zoos_layers_are_theirs(model):
    assert added(kattn.insert(model, kattn.layers.CBAM, "stem", reduction=2), model)[0].reduction == 2
    assert added(kattn.insert(model, kattn.layers.CBAM(reduction=2), "stem"), model)[0].reduction == 2


def test_a_layer_or_function_keeps_its_dtype_and_a_class_takes_the_places(model):
    image = keras.Input((8, 8, 3))
    half = keras.Model(image, layers.Conv2D(4, 3, name="conv", dtype="mixed_bfloat16")(image))

    def dtype(mechanism):
        return kattn.insert(half, mechanism, "conv").get_layer("conv_gate").compute_dtype

    assert (dtype(Gate), dtype(lambda: Gate()), dtype(Gate(dtype="float32"))) == ("bfloat16", "float32", "float32")


@pytest.mark.parametrize(
    ("mechanism", "options", "message"),
    [
        ("sse", {}, "Unknown layer 'sse'. Closest: se"),
        ("se", {"ratio": 3}, "ratio"),
        ("ge", {"extent": 3, "where": "stage2_block1_out"}, "extent must be 0 .* Received: extent=3"),
        (3, {}, "mechanism must be a short name .*, or a layer to copy. Received: mechanism=3"),
        (lambda: 3, {}, "A mechanism must make a layer. .* made: 3"),
        (dict, {}, "A mechanism must make a layer. <class 'dict'> made: "),
        (lambda x: Gate()(x), {}, r"cannot be made with the options {}: .* missing 1 required positional argument"),
        (PlainGate, {"ratio": 3}, r"cannot be made with the options {'ratio': 3}: .* unexpected keyword argument"),
        (Gate(), {"factor": 3}, "A layer has its options already: give its class, Gate, to set factor"),
    ],
)
def test_what_makes_no_block_is_an_error(model, mechanism, options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        kattn.insert(model, mechanism, **options)
