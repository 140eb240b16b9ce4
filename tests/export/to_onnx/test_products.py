"""Transposes around matrix products go into the products: the same numbers, however the products lie."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from kattn.export.to_onnx.products import absorb_transposes

HEIGHT, WIDTH, CHANNELS = 4, 3, 5
ROWS = HEIGHT * WIDTH


def graph(nodes, outputs, **shapes):
    """A ModelProto of nodes on the map `x` (batch, channels, height, width), with constant shapes by name."""
    return helper.make_model(
        helper.make_graph(
            nodes,
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", CHANNELS, HEIGHT, WIDTH])],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
            [onnx.numpy_helper.from_array(np.array(value), name) for name, value in shapes.items()],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )


def node(op_type, inputs, output, **attributes):
    return helper.make_node(op_type, inputs.split(), [output], name=output, **attributes)


def rows(name):
    """The map as rows, as a conversion from channels-last leaves it."""
    turned = node("Transpose", "x", f"{name}_last", perm=[0, 2, 3, 1])
    return [turned, node("Reshape", f"{name}_last to_rows", name)]


def run(model):
    x = np.random.default_rng(0).standard_normal((2, CHANNELS, HEIGHT, WIDTH), "float32")
    return onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})


SHAPES = {"to_rows": np.array([-1, ROWS, CHANNELS]), "to_map": np.array([-1, HEIGHT, WIDTH, CHANNELS])}
FACTOR = {"half": np.float32(0.5)}
ATTENTION = [
    *rows("q"),
    *rows("k"),
    *rows("v"),
    node("Mul", "q half", "scaled"),
    node("Transpose", "k", "k_turned", perm=[0, 2, 1]),
    node("MatMul", "scaled k_turned", "logits"),
    node("Softmax", "logits", "weights", axis=-1),
    node("MatMul", "weights v", "gathered"),
    node("Reshape", "gathered to_map", "last"),
    node("Transpose", "last", "first", perm=[0, 3, 1, 2]),
    node("Relu", "first", "y"),
]
MAP = {"y": ["batch", CHANNELS, HEIGHT, WIDTH]}


def test_attention_between_positions_keeps_its_numbers_and_no_transpose():
    model = graph(ATTENTION, MAP, **SHAPES, **FACTOR)
    (expected,) = run(model)
    absorb_transposes(model)
    onnx.checker.check_model(model, full_check=True)
    kinds = [one.op_type for one in model.graph.node]
    assert "Transpose" not in kinds and kinds.count("Einsum") == 2
    np.testing.assert_allclose(run(model)[0], expected, atol=1e-6)
    assert not {"to_rows", "to_map"} & {tensor.name for tensor in model.graph.initializer}


@pytest.mark.parametrize(
    ("nodes", "outputs"),
    [
        # The turned rows are an output too: they stay, and stay right.
        (ATTENTION, MAP | {"k_turned": ["batch", CHANNELS, ROWS]}),
        (ATTENTION, MAP | {"gathered": ["batch", ROWS, CHANNELS]}),
        ([*rows("r"), node("Transpose", "r", "t", perm=[0, 2, 1]), node("MatMul", "t r", "y")], {"y": ["batch", 5, 5]}),
        (
            [
                *rows("r"),
                node("Transpose", "r", "t", perm=[0, 2, 1]),
                node("MatMul", "r t", "p"),
                node("Transpose", "p", "y", perm=[0, 2, 1]),
            ],
            {"y": ["batch", ROWS, ROWS]},
        ),
    ],
    ids=["output of a turn", "output of a product", "gram", "turned result is the output"],
)
def test_what_others_read_stays_right(nodes, outputs):
    model = graph(nodes, outputs, **SHAPES, **FACTOR)
    expected = run(model)
    absorb_transposes(model)
    onnx.checker.check_model(model, full_check=True)
    for got, value in zip(run(model), expected, strict=True):
        np.testing.assert_allclose(got, value, atol=1e-5)


def test_a_turn_of_a_vector_is_no_turn():
    nodes = [
        node("GlobalAveragePool", "x", "pooled"),
        node("Transpose", "pooled", "last", perm=[0, 2, 3, 1]),
        node("Reshape", "last to_line", "line"),
        node("Transpose", "line", "first", perm=[0, 3, 1, 2]),
        node("Conv", "first kernel", "y", pads=[0, 1, 0, 1]),
    ]
    kernel = np.array([1.0, 2.0, 4.0], "float32").reshape(1, 1, 1, 3)
    shapes = {"to_line": np.array([-1, 1, CHANNELS, 1]), "kernel": kernel}
    model = graph(nodes, {"y": ["batch", 1, 1, CHANNELS]}, **shapes)
    (expected,) = run(model)
    absorb_transposes(model)
    assert [one.op_type for one in model.graph.node] == ["GlobalAveragePool", "Reshape", "Conv"]
    np.testing.assert_allclose(run(model)[0], expected, atol=1e-6)


def test_a_gate_is_turned_instead_of_the_map():
    nodes = [
        node("GlobalAveragePool", "x", "pooled"),
        node("Reshape", "pooled to_gate", "gate"),
        node("Transpose", "x", "last", perm=[0, 2, 3, 1]),
        node("Sub", "gate last", "difference"),
        node("Transpose", "difference", "first", perm=[0, 3, 1, 2]),
        node("Relu", "first", "y"),
    ]
    model = graph(nodes, MAP, to_gate=np.array([-1, 1, 1, CHANNELS]))
    (expected,) = run(model)
    absorb_transposes(model)
    assert "Transpose" not in [one.op_type for one in model.graph.node]
    np.testing.assert_allclose(run(model)[0], expected, atol=1e-6)


def test_maps_turned_alike_are_added_before_they_are_turned():
    nodes = [
        node("Relu", "x", "other"),
        node("Transpose", "x", "x_last", perm=[0, 2, 3, 1]),
        node("Transpose", "other", "other_last", perm=[0, 2, 3, 1]),
        node("Add", "x_last other_last", "sum"),
        node("Clip", "sum least", "clipped"),
        node("Mul", "clipped factor", "scaled"),
        node("Transpose", "scaled", "first", perm=[0, 3, 1, 2]),
        node("Neg", "first", "y"),
    ]
    model = graph(nodes, MAP, least=np.array(-0.5, "float32"), factor=np.array([3.0], "float32"))
    (expected,) = run(model)
    absorb_transposes(model)
    onnx.checker.check_model(model, full_check=True)
    assert [one.op_type for one in model.graph.node] == ["Relu", "Add", "Clip", "Mul", "Neg"]
    np.testing.assert_allclose(run(model)[0], expected, atol=1e-6)


def test_a_graph_without_products_is_left_alone():
    model = graph([node("Transpose", "x", "y", perm=[0, 2, 3, 1])], {"y": ["batch", HEIGHT, WIDTH, CHANNELS]})
    before = model.SerializeToString()
    assert absorb_transposes(model).SerializeToString() == before


def test_a_product_that_lies_right_stays_a_product():
    model = graph([node("MatMul", "x w", "y")], {"y": ["batch", CHANNELS, HEIGHT, 2]}, w=np.ones((WIDTH, 2), "float32"))
    assert [one.op_type for one in absorb_transposes(model).graph.node] == ["MatMul"]
