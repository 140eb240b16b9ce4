"""8-bit ONNX: onnxruntime's static quantisation, with ranges from real images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kattn.export.errors import ExportInputError
from kattn.export.names import INPUT
from kattn.export.quiet import converting

METHODS = ("minmax", "entropy", "percentile")


def quantise(graph: Any, samples: np.ndarray, scratch: Path, *, method: str, excluded: Sequence[str]) -> Any:
    """The graph with QuantizeLinear and DequantizeLinear around every operator that has an integer form.

    Weights are signed and have a scale a channel; activations are unsigned, for which processors with integer dot
    products have the faster instruction (with signed activations the same networks took more than twice as long).

    Args:
        graph: float32 ModelProto.
        samples: In the graph's layout and type.
        scratch: A folder for onnxruntime's intermediate files.
        method: One of `METHODS`.
        excluded: Names of nodes to leave in float32.
    """
    import onnx
    from onnxruntime import quantization as ort

    if method not in METHODS:
        raise ExportInputError(f"calibration_method must be one of {', '.join(METHODS)}. Received: {method!r}")
    size = _batch_size(graph)
    batches = [samples[i : i + size] for i in range(0, len(samples) // size * size, size)]
    if not batches:
        raise ExportInputError(f"The graph takes batches of {size}; {len(samples)} calibration images do not fill one.")

    class Reader(ort.CalibrationDataReader):
        def __init__(self) -> None:
            self.left = iter(batches)

        def get_next(self) -> dict[str, np.ndarray] | None:
            batch = next(self.left, None)
            return None if batch is None else {INPUT: batch}

    target = scratch / "int8.onnx"
    with converting("onnxruntime's quantisation"):
        ort.quantize_static(
            onnx.shape_inference.infer_shapes(graph),
            str(target),
            Reader(),
            quant_format=ort.QuantFormat.QDQ,
            per_channel=True,
            activation_type=ort.QuantType.QUInt8,
            weight_type=ort.QuantType.QInt8,
            nodes_to_exclude=list(excluded),
            calibrate_method={
                "minmax": ort.CalibrationMethod.MinMax,
                "entropy": ort.CalibrationMethod.Entropy,
                "percentile": ort.CalibrationMethod.Percentile,
            }[method],
        )
        return onnx.load(str(target))


def _batch_size(graph: Any) -> int:
    """The graph's own batch where it is fixed, else one image."""
    return graph.graph.input[0].type.tensor_type.shape.dim[0].dim_value or 1
