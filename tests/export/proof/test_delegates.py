"""What accelerators take: the table, and how it is read."""

from __future__ import annotations

import pytest

from kattn.export.proof.delegates import delegates, support


@pytest.mark.parametrize("name", delegates())
def test_every_entry_has_a_source_a_date_and_operators_of_its_format(name):
    delegate = delegates()[name]
    assert delegate.source.startswith("https://") and delegate.read.startswith("20")
    if delegate.format == "tflite":
        from ai_edge_litert.schema_py_generated import BuiltinOperator

        assert delegate.operators <= set(vars(BuiltinOperator))
    else:
        import onnx

        assert delegate.operators <= {schema.name for schema in onnx.defs.get_all_schemas()}


def test_what_is_left_is_told_by_layer():
    operators = [("CONV_2D", ["m/stem/Conv2D"]), ("EXP", ["m/gate/Exp"]), ("EXP", ["m/gate/Exp_1"])]
    found = support("tflite", operators, integer=True, layer_of=lambda name: name.split("/")[1])
    assert found["Edge TPU"]["takes"] == "a part" and found["Edge TPU"]["left"] == {"EXP": ["gate"]}
    assert found["GPU (OpenCL, OpenGL, Metal)"]["takes"] == "all"
    assert found["Core ML"]["takes"] == "none" and "floating point only" in found["Core ML"]["note"]
    assert set(found) == {name for name, delegate in delegates().items() if delegate.format == "tflite"}
