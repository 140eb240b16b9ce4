"""A hard sigmoid is one node, where and only where it is one; a number behind a convolution costs no Transpose."""

from __future__ import annotations

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from support.models import pixels, randomise

import kattn.export
from kattn.export.to_onnx.activations import name_activations


def graph(*, add=3.0, least=0.0, most=6.0, factor=1 / 6, turned=False, second_reader=False, number_first=False):
    """x -> Relu -> Add -> Clip -> Mul -> y, for x of (batch, 2, 3)."""
    values = {"add": add, "least": least, "most": most, "factor": factor}
    constants = [numpy_helper.from_array(np.asarray(value, "float32"), name) for name, value in values.items()]
    nodes = [
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("Add", ["add", "r"] if number_first else ["r", "add"], ["a"], name="gate"),
        helper.make_node("Clip", ["a", "least", "most"], ["c"]),
        helper.make_node("Mul", ["factor", "c"] if turned else ["c", "factor"], ["y"], name="gate/scale"),
    ]
    outputs = [
        helper.make_tensor_value_info(
            "y", TensorProto.FLOAT, ["batch", 2, 3] if np.ndim(add) < 4 else [1, "batch", 2, 3]
        )
    ]
    if second_reader:
        outputs.append(helper.make_tensor_value_info("c", TensorProto.FLOAT, ["batch", 2, 3]))
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 2, 3])]
    body = helper.make_graph(nodes, "g", inputs, outputs, constants)
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def run(model):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["y"], {"x": np.linspace(-9, 9, 30, dtype="float32").reshape(5, 2, 3)})[0]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"add": np.full((1, 1, 1), 3.0), "turned": True},
        {"add": [3.0], "number_first": True},
        {"add": -0.5, "most": 1.0, "factor": 1.0},
    ],
)
def test_one_node_with_the_same_numbers(options):
    exact = run(graph(**options))
    assert exact.min() == 0 or exact.max() == 1
    changed = name_activations(graph(**options))
    onnx.checker.check_model(changed, full_check=True)
    assert [node.op_type for node in changed.graph.node] == ["Relu", "HardSigmoid"]
    assert not changed.graph.initializer and changed.graph.node[1].name.startswith("gate")
    np.testing.assert_allclose(run(changed), exact, atol=1e-6)


@pytest.mark.parametrize(
    "options",
    [
        {"most": 5.0},  # ends below one
        {"least": -1.0},
        {"factor": -1 / 6},
        {"add": [3.0, 2.0, 1.0]},
        {"add": np.full((1, 1, 1, 1), 3.0)},  # gives the tensor another axis
        {"second_reader": True},
    ],
)
def test_anything_else_stays(options):
    assert name_activations(graph(**options)) == graph(**options)


def network(activation, use_bias):
    image = keras.Input((12, 12, 3))
    x = keras.layers.Conv2D(6, 3, use_bias=use_bias, name="conv")(image)
    x = keras.layers.Activation(activation, name="activation")(x)
    x = keras.layers.DepthwiseConv2D(3, name="depthwise")(x)
    model = keras.Model(image, keras.layers.GlobalAveragePooling2D()(x))
    randomise(model, seed=2)
    return model


@pytest.mark.parametrize("use_bias", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("activation", "nodes"), [("hard_sigmoid", 1), ("hard_swish", 2)])
def test_hard_activations_of_keras(activation, nodes, use_bias, tmp_path):
    """Without bias tf2onnx fails at the number that is added, and leaves every Transpose where it is."""
    report = kattn.export.onnx(
        network(activation, use_bias), tmp_path / "m.onnx", layout="nchw", images=pixels((8, 12, 12, 3))
    )
    assert report.ops.pop("Squeeze") == 1
    assert report.ops == {"Conv": 2, "HardSigmoid": 1, "GlobalAveragePool": 1} | ({"Mul": 1} if nodes == 2 else {})
    assert report.max_abs_diff <= 1e-4
