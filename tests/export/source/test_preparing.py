"""Which layer a tensor belongs to: reports and `float_layers` go by it."""

from __future__ import annotations

import keras
import onnx
import pytest
from support.models import pixels, randomise

import kattn.export
from kattn.export.source.preparing import prepare
from kattn.export.to_tflite.graph import read_tflite

SHAPE = (16, 16, 3)
# In this order Keras's own names are conv2d, conv2d_1, ... and elu, elu_1, ...
LAYERS = [f"{kind}{number}" for number in ("", "_1", "_2", "_3") for kind in ("conv2d", "elu")]


def network(size=16, policy="float32", name="net"):
    """Layers with the names that Keras gives them: one is the beginning of another."""
    image = x = keras.Input((size, size, 3))
    for layer in LAYERS:
        x = (
            keras.layers.Conv2D(4, 3, name=layer, dtype=policy)
            if layer.startswith("conv")
            else keras.layers.ELU(name=layer, dtype=policy)
        )(x)
    model = keras.Model(image, keras.layers.GlobalAveragePooling2D(name="pool")(x), name=name)
    randomise(model, seed=4)
    return model


def nested():
    image = keras.Input(SHAPE)
    return keras.Model(image, keras.layers.Dense(3, name="dense")(network()(image)), name="outer")


EASY = ("plain", "numbered", "half", "nested")  # the others are slow
MODELS = {
    "plain": lambda: (network(), {}),
    "numbered": lambda: (network(name="net_1"), {}),
    "renamed": lambda: (network(name="a net"), {}),
    "half": lambda: (network(policy="mixed_float16"), {}),
    "open": lambda: (network(size=None), {"input_shape": SHAPE}),
    "sequential": lambda: (keras.Sequential([keras.Input(SHAPE), network()]), {}),
    "nested": lambda: (nested(), {}),
}


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=() if kind in EASY else pytest.mark.slow) for kind in MODELS]
)
def test_every_operator_is_found_in_its_layer(kind, tmp_path):
    model, options = MODELS[kind]()
    source = prepare(model, **options)
    kattn.export.onnx(model, tmp_path / "m.onnx", layout="nchw", **options)
    nodes = onnx.load(tmp_path / "m.onnx").graph.node
    assert [source.layer_of(node.name) for node in nodes if node.op_type in ("Conv", "Elu")] == LAYERS
    kattn.export.tflite(model, tmp_path / "m.tflite", **options)
    operators = read_tflite(tmp_path / "m.tflite").operators
    found = [source.layer_of(o.outputs[0].name) for o in operators if o.name in ("CONV_2D", "ELU")]
    assert found == LAYERS


def test_a_layer_kept_in_float_is_the_one_named(tmp_path):
    kattn.export.onnx(
        network(),
        tmp_path / "m.onnx",
        precision="int8",
        calibration=pixels((8, *SHAPE)),
        float_layers=["conv2d_2"],
        min_agreement=0,
    )
    nodes = onnx.load(tmp_path / "m.onnx").graph.node
    makers = {name: node.op_type for node in nodes for name in node.output}
    convolutions = [node for node in nodes if node.op_type == "Conv"]
    exact = [makers.get(node.input[1]) != "DequantizeLinear" for node in convolutions]
    assert exact[1:] == [False, True, False]  # the first one, of few products, is always left in float
