"""Integer TFLite in two steps, ranges of activations from real images, then scales; here is what lies between."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

# Tensor.quantization is a table whose fields 0 and 1 are the vectors of least and largest values.
MIN, MAX = 4, 6
# A result whose range is smaller than this part of its operator's largest input did not move on the calibration images;
# it is given the second part. Integer kernels multiply by the ratio of the scales in fixed point: XNNPACK refuses the
# whole file where it exceeds 256, and others end the process.
DEAD, GIVEN = 1 / 4096, 1 / 128
PRODUCTS = ("MUL", "SQUARED_DIFFERENCE")


def widen_dead_ranges(content: bytes) -> tuple[bytes, list[str]]:
    """Give activations that did not move on the calibration images a range that integer kernels can work with.

    A hidden unit that no calibration image wakes (usual in a gate of one or two units), or a normalisation over one
    channel, has the range 0..0, from which the converter makes a scale of 1e-8: the next bias then overflows 32 bits,
    and runtimes refuse the file or crash. A small part of the range of the operator's input leaves such a value as
    silent as it was.

    Args:
        content: A calibrated float .tflite file.

    Returns: The file, and the names of the tensors changed.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(content, 0)
    operator_names = {v: k for k, v in vars(schema.BuiltinOperator).items() if isinstance(v, int)}
    result, changed = bytearray(content), []
    for g in range(model.SubgraphsLength()):
        graph = model.Subgraphs(g)
        ranges = {i: _range(graph.Tensors(i)) for i in range(graph.TensorsLength())}
        for i in range(graph.OperatorsLength()):
            operator = graph.Operators(i)
            code = model.OperatorCodes(operator.OpcodeIndex())
            name = operator_names.get(max(code.BuiltinCode(), code.DeprecatedBuiltinCode()), "")
            inputs = [ranges.get(operator.Inputs(j)) for j in range(operator.InputsLength())]
            known = [_width(found) for found in inputs if found is not None]
            size = max(known, default=0.0) ** (2 if name in PRODUCTS and len(known) == len(inputs) else 1)
            for j in range(operator.OutputsLength()):
                output = operator.Outputs(j)
                found = ranges.get(output)
                if found is None or _width(found) >= size * DEAD:
                    continue
                widened = (-size * GIVEN, 0.0) if found[0] < 0 >= found[1] else (0.0, size * GIVEN)
                ranges[output] = widened
                _write(result, graph.Tensors(output), *widened)
                changed.append(graph.Tensors(output).Name().decode())
    return bytes(result), changed


def tensors_of(content: bytes) -> list[str]:
    """Names of the tensors that the file's operators compute."""
    from ai_edge_litert import schema_py_generated as schema

    graph = schema.Model.GetRootAs(content, 0).Subgraphs(0)
    operators = [graph.Operators(i) for i in range(graph.OperatorsLength())]
    outputs = [operator.Outputs(j) for operator in operators for j in range(operator.OutputsLength())]
    return [graph.Tensors(output).Name().decode() for output in outputs]


def quantise(content: bytes, io_type: Any, float_tensors: Sequence[str] = ()) -> bytes:
    """A calibrated file in 8-bit integers.

    Args:
        content: The file.
        io_type: Of its inputs and outputs.
        float_tensors: Names of tensors that are to be computed in float32.
    """
    from tensorflow.lite.python.convert import mlir_quantize

    return mlir_quantize(
        content, input_data_type=io_type, output_data_type=io_type, denylisted_nodes=set(float_tensors) or None
    )


def _range(tensor: Any) -> tuple[float, float] | None:
    """Least and largest value seen; None for constants and whatever was not calibrated."""
    quantisation = tensor.Quantization()
    if quantisation is None or quantisation.MinLength() != 1 or quantisation.MaxLength() != 1:
        return None
    return float(quantisation.Min(0)), float(quantisation.Max(0))


def _width(limits: tuple[float, float]) -> float:
    """Of a range as it is quantised: with zero in it."""
    return max(limits[1], 0.0) - min(limits[0], 0.0)


def _write(content: bytearray, tensor: Any, low: float, high: float) -> None:
    table = tensor.Quantization()._tab
    for field, value in ((MIN, low), (MAX, high)):
        struct.pack_into("<f", content, table.Vector(table.Offset(field)), value)
