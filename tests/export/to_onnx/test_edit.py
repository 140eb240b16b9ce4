"""A graph that is being changed stays a graph."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from kattn.export.to_onnx.edit import GraphEdit


def model():
    """x -> Conv -> Reshape -> Relu -> y, with more weights than a shape has numbers."""
    weights = [
        numpy_helper.from_array(np.ones((4, 3, 5, 5), "float32"), "kernel"),
        numpy_helper.from_array(np.array([0, 4, -1]), "shape"),
    ]
    nodes = [
        helper.make_node("Conv", ["x", "kernel"], ["c"]),
        helper.make_node("Reshape", ["c", "shape"], ["r"]),
        helper.make_node("Relu", ["r"], ["y"]),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 9, 7])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 4, 15])]
    body = helper.make_graph(nodes, "g", inputs, outputs, weights)
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_shapes_are_inferred_without_the_weights():
    shapes = GraphEdit(model(), infer=True).shapes
    assert shapes["c"] == [None, 4, 5, 3] and shapes["r"] == [None, 4, 15] and shapes["kernel"] == [4, 3, 5, 5]
    assert "c" not in GraphEdit(model()).shapes


def test_an_output_keeps_its_name_when_its_maker_goes():
    changed = model()
    work = GraphEdit(changed)
    (relu,) = work.kind("Relu")
    work.replace(relu, "r")
    work.write_back()
    onnx.checker.check_model(changed, full_check=True)
    assert [(node.op_type, node.output[0]) for node in changed.graph.node] == [("Conv", "c"), ("Reshape", "y")]


def test_what_nobody_reads_goes_with_its_constants():
    changed = model()
    work = GraphEdit(changed)
    (reshape,) = work.kind("Reshape")
    work.replace(reshape, "c")
    work.drop_unused()
    work.write_back()
    assert [tensor.name for tensor in changed.graph.initializer] == ["kernel"]


@pytest.mark.parametrize(("value", "number"), [(2.5, 2.5), ([[3]], 3.0), ([1.0, 2.0], None)])
def test_a_constant_of_one_element_is_a_number(value, number):
    work = GraphEdit(model())
    assert work.number(work.constant(np.array(value))) == number
