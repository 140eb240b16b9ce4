"""Integer TFLite in two steps, ranges of activations from real images, then scales; here is what lies between."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from kattn.export.ranges import SHARES, Ranges
from kattn.export.to_tflite.findings import in_floats
from kattn.export.to_tflite.graph import TFLiteGraph, operator_names, parse_tflite
from kattn.export.to_tflite.interpreter import input_details, open_interpreter

# Tensor.quantization is a table whose fields 0 and 1 are the vectors of least and largest values.
MIN, MAX = 4, 6
# A result whose range is smaller than this part of its operator's largest input did not move on the calibration images;
# it is given the second part. Integer kernels multiply by the ratio of the scales in fixed point: XNNPACK refuses the
# whole file where it exceeds 256, and others end the process.
DEAD, GIVEN = 1 / 4096, 1 / 128
TRIES = 32  # of a quantisation; with two LSTMs about every second one comes out right
PRODUCTS = ("MUL", "SQUARED_DIFFERENCE")
SAME_RANGE = ("REDUCE_MAX", "REDUCE_MIN", "MAXIMUM", "MINIMUM", "MAX_POOL_2D", "CONCATENATION")


def with_measured_ranges(
    content: bytes, batches: Iterable[Mapping[str, np.ndarray]], method: str
) -> tuple[bytes, list[str]]:
    """Give every activation of a calibrated file the range that integer kernels do best with.

    - The range that it has on the calibration images. TensorFlow's calibrator looks at the inputs of an operator once
      more when it has run. Kernels of sums and products write their result over an input that nobody else reads, so
      that range becomes the result's as well: a gate from 0 to 1 is quantised as the map that it gates.
    - Where an operator's result has to be quantised as its inputs are (a maximum, maps next to each other), the range
      of both. The converter takes that of the result, and cuts off what the inputs have below it.
    - Where nothing moved, a small range. A hidden unit that no calibration image wakes (usual in a gate of one or two
      units), or a normalisation over one channel, has the range 0..0, from which the converter makes a scale of 1e-8:
      the next bias then overflows 32 bits, and runtimes refuse the file or crash. A small part of the range of the
      operator's input leaves such a value as silent as it was.

    Args:
        content: A calibrated float .tflite file.
        batches: The calibration images by input, as it takes them.
        method: One of SHARES.

    Returns: The file, and the names of the tensors in which nothing moved.
    """
    from ai_edge_litert import schema_py_generated as schema

    result, still = bytearray(content), []
    model = schema.Model.GetRootAs(content, 0)
    measured = _measured(content, batches, SHARES[method])
    for g in range(model.SubgraphsLength()):
        work = _Ranges(model, model.Subgraphs(g))
        if g == 0:
            work.ranges |= measured
        work.join()
        still += work.widen()
        for i, found in work.ranges.items():
            _write(result, work.graph.Tensors(i), *found)
    return bytes(result), still


def _measured(
    content: bytes, batches: Iterable[Mapping[str, np.ndarray]], share: float
) -> dict[int, tuple[float, float]]:
    """Range of each calibrated tensor of the first subgraph over a share of the batches, the input's over all."""
    from ai_edge_litert import schema_py_generated as schema

    interpreter = open_interpreter(model_content=content)
    inputs = input_details(interpreter)
    graph = schema.Model.GetRootAs(content, 0).Subgraphs(0)
    calibrated = [i for i in range(graph.TensorsLength()) if _range(graph.Tensors(i)) is not None]
    ranges: Ranges[int] = Ranges()
    for batch in batches:
        for name, values in batch.items():
            interpreter.set_tensor(inputs[name]["index"], values)
        interpreter.invoke()
        for i in calibrated:
            ranges.add(i, interpreter.get_tensor(i))
    return ranges.over(share, whole={detail["index"] for detail in inputs.values()})


class _Ranges:
    """Ranges of one subgraph's calibrated tensors by index, and its operators with theirs."""

    def __init__(self, model: Any, graph: Any) -> None:
        self.graph = graph
        known = {i: _range(graph.Tensors(i)) for i in range(graph.TensorsLength())}
        self.ranges = {i: found for i, found in known.items() if found is not None}
        names = operator_names(model)
        self.operators: list[tuple[str, list[int], list[int]]] = []
        for i in range(graph.OperatorsLength()):
            operator = graph.Operators(i)
            inputs = [operator.Inputs(j) for j in range(operator.InputsLength())]
            outputs = [operator.Outputs(j) for j in range(operator.OutputsLength())]
            self.operators.append((names[operator.OpcodeIndex()], inputs, outputs))

    def join(self) -> None:
        for name, inputs, outputs in self.operators:
            known = [self.ranges[i] for i in (*inputs, *outputs) if i in self.ranges]
            if name in SAME_RANGE:
                both = (min(least for least, _ in known), max(most for _, most in known)) if known else None
                self.ranges |= {i: both for i in outputs if i in self.ranges and both}

    def widen(self) -> list[str]:
        changed = []
        for name, inputs, outputs in self.operators:
            known = [_width(self.ranges[i]) for i in inputs if i in self.ranges]
            size = max(known, default=0.0) ** (2 if name in PRODUCTS and len(known) == len(inputs) else 1)
            for i in outputs:
                found = self.ranges.get(i)
                if found is None or _width(found) >= size * DEAD:
                    continue
                self.ranges[i] = (-size * GIVEN, 0.0) if found[0] < 0 >= found[1] else (0.0, size * GIVEN)
                changed.append(self.graph.Tensors(i).Name().decode())
        return changed


def quantise(content: bytes, io_type: Any, float_tensors: Sequence[str] = ()) -> bytes:
    """A calibrated file in 8-bit integers.

    Of an operator with several results, one of which nobody reads (the split in the first step of an LSTM, whose
    state is zero), TensorFlow's quantiser makes integers or not by chance: in the order of addresses in memory. It is
    asked again then.

    Args:
        content: The file.
        io_type: Of its inputs and outputs.
        float_tensors: Names of tensors that are to be computed in float32.
    """
    from tensorflow.lite.python.convert import mlir_quantize

    for _ in range(TRIES):
        result: bytes = mlir_quantize(
            content, input_data_type=io_type, output_data_type=io_type, denylisted_nodes=set(float_tensors) or None
        )
        if not _left_by_chance(parse_tflite(result), float_tensors):
            break
    return result


def _left_by_chance(graph: TFLiteGraph, float_tensors: Sequence[str]) -> bool:
    """Whether an operator with several results, one of which nobody reads, is in floating point unasked."""
    read = {tensor for operator in graph.operators for tensor in operator.inputs} | set(graph.outputs)
    return any(
        len(operator.outputs) > 1
        and in_floats(operator)
        and not read.issuperset(operator.outputs)
        and not any(tensor.name in float_tensors for tensor in operator.outputs)
        for operator in graph.operators
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
