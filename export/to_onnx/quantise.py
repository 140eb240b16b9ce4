"""8-bit ONNX: onnxruntime's static quantisation, with ranges from real images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kattn.export.apart import load_arrays
from kattn.export.errors import ExportInputError
from kattn.export.quiet import converting
from kattn.export.ranges import SHARES, Ranges

Arrays = dict[str, np.ndarray]
Progress = Callable[[int, int], None]
METHODS = (*SHARES, "entropy")
# Arithmetic that is left in float32 on vectors of channels, where it costs nothing: 8 bits of a layer normalisation's
# variance are 4 bits of its deviation, and a small variance becomes 0, whose root's reciprocal is infinite.
ARITHMETIC = (
    *("Add", "Sub", "Mul", "Div", "Pow", "Sqrt", "Reciprocal", "Exp", "Max", "Min", "Neg", "Abs"),
    *("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "Softmax", "Sigmoid", "HardSigmoid"),
)
# A first convolution whose results are sums of no more products than this is left in float32: with 3 channels and a
# 3x3 kernel onnxruntime's integer kernel takes twice as long as the other (MobileNetV2: a tenth of the whole time).
FEW = 32
LOST_BIAS, SMALL_BIAS = 1e-2, 1e-6  # a part of the largest bias that must not be missing, if it is more than nothing


def quantise_file(path: str, samples: str, method: str, excluded: Sequence[str], progress: Progress) -> list[str]:
    """Quantise a float32 file in its place. A task for the child: see `quantise`.

    Args:
        path: The file.
        samples: An .npz file with the calibration images of each input, in the graph's layout and types.
        method, excluded: As in `quantise`.

    Returns: Names of the nodes that were left in float32 because 8 bits lost their bias.
    """
    import onnx

    options: dict[str, Any] = {"method": method, "excluded": excluded, "progress": progress}
    graph, lost = quantise(onnx.load(path), load_arrays(samples), Path(path).parent, **options)
    onnx.save(graph, path)
    return lost


def quantise(
    graph: Any, samples: Arrays, scratch: Path, *, method: str, excluded: Sequence[str], progress: Progress
) -> tuple[Any, list[str]]:
    """The graph with QuantizeLinear and DequantizeLinear around every operator that has an integer form.

    Weights are signed and have a scale a channel; activations are unsigned, for which processors with integer dot
    products have the faster instruction (with signed activations the same networks took more than twice as long).

    Args:
        graph: float32 ModelProto.
        samples: For each input, in the graph's layout and type.
        scratch: A folder for onnxruntime's intermediate files.
        method: One of `METHODS`.
        excluded: Names of nodes to leave in float32.
        progress: Called with the number of images that were run, and of all.

    Returns: The quantised graph, and the names of the nodes that were left in float32 because 8 bits lost their bias.
    """
    import onnx
    from onnxruntime import quantization as ort

    size = _batch_size(graph)
    count = len(next(iter(samples.values())))
    starts = range(0, count // size * size, size)
    batches = [{name: array[i : i + size] for name, array in samples.items()} for i in starts]
    if not batches:
        raise ExportInputError(f"The graph takes batches of {size}; {count} calibration images do not fill one.")

    class Reader(ort.CalibrationDataReader):
        def __init__(self) -> None:
            self.left = iter(batches)

        def get_next(self) -> Arrays | None:
            return next(self.left, None)

    target = scratch / "int8.onnx"
    kept = [*excluded, *_entrance(graph), *_vector_arithmetic(onnx.shape_inference.infer_shapes(graph))]

    calibrator, options = ort.CalibrationMethod.Entropy, {}
    if method in SHARES:  # what onnxruntime's own calibrator finds in one batch is overridden
        ranges = _measured(graph, batches, SHARES[method], progress)
        options = {"TensorQuantOverrides": {name: [found] for name, found in ranges.items()}}
        calibrator, batches = ort.CalibrationMethod.MinMax, batches[:1]

    def run(nodes: Sequence[str]) -> Any:
        with converting("onnxruntime's quantisation"):
            ort.quantize_static(
                onnx.shape_inference.infer_shapes(graph),  # a copy: it is changed while it is quantised
                str(target),
                Reader(),
                quant_format=ort.QuantFormat.QDQ,
                per_channel=True,
                activation_type=ort.QuantType.QUInt8,
                weight_type=ort.QuantType.QInt8,
                nodes_to_exclude=list(nodes),
                calibrate_method=calibrator,
                extra_options=options,
            )
            return onnx.load(str(target))

    quantised = run(kept)
    lost = _lost_biases(graph, quantised)
    return (run([*kept, *lost]) if lost else quantised), lost


def _measured(graph: Any, batches: Sequence[Arrays], share: float, progress: Progress) -> dict[str, Arrays]:
    """Range of each tensor over a share of the batches, of an input over all, of those that move at all."""
    import onnx
    import onnxruntime

    open_graph = onnx.shape_inference.infer_shapes(graph)
    outputs = {value.name for value in open_graph.graph.output}
    inner = [
        value
        for value in open_graph.graph.value_info
        if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT and value.name not in outputs
    ]
    names = [*outputs, *(value.name for value in inner)]
    open_graph.graph.output.extend(inner)
    with converting("onnxruntime"):
        session = onnxruntime.InferenceSession(open_graph.SerializeToString(), providers=["CPUExecutionProvider"])
    ranges: Ranges[str] = Ranges()
    for done, batch in enumerate(batches):
        results = dict(zip(names, session.run(names, batch), strict=True))
        for name, values in {**batch, **results}.items():
            if values.dtype == np.float32:
                ranges.add(name, values)
        progress(done + 1, len(batches))
    return {
        name: {"rmin": np.array(low, "float32"), "rmax": np.array(high, "float32")}
        for name, (low, high) in ranges.over(share, whole=batches[0]).items()
        if high > low
    }


def _lost_biases(graph: Any, quantised: Any) -> list[str]:
    """Names of the nodes whose bias is no longer what it was.

    A bias is stored in steps of the input's scale times the weights'. Units that are silent on all calibration images
    (always so behind a layer normalisation of one channel) have no range, and onnxruntime gives them, and weights that
    never got a gradient, the scale 1: the bias, all that such a layer computes, is rounded to whole numbers.
    """
    from onnx.numpy_helper import to_array

    exact = {tensor.name: tensor for tensor in graph.graph.initializer}
    biases = {node.name: exact.get(node.input[2]) for node in graph.graph.node if _has_bias(node)}
    stored = {tensor.name: tensor for tensor in quantised.graph.initializer}
    makers = {name: node for node in quantised.graph.node for name in node.output}
    lost = []
    for node in quantised.graph.node:
        maker = makers.get(node.input[2]) if _has_bias(node) else None
        bias = biases.get(node.name)
        if bias is None or maker is None or maker.op_type != "DequantizeLinear":
            continue
        integers, scale = (to_array(stored[name]) for name in maker.input[:2])
        wanted = to_array(bias)
        gap = np.abs(integers.astype("float64") * scale - wanted).max()
        if gap > max(LOST_BIAS * np.abs(wanted).max(), SMALL_BIAS):
            lost.append(node.name)
    return lost


def _has_bias(node: Any) -> bool:
    return node.op_type in ("Conv", "Gemm") and len(node.input) > 2


def _vector_arithmetic(graph: Any) -> list[str]:
    """Names of the nodes that compute with vectors of channels only, as gates and normalisations of them do.

    One vector is (batch, channels, 1, 1), some beside each other are (batch, channels, some, 1).
    """
    shapes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*graph.graph.value_info, *graph.graph.output)
    }
    return [
        node.name
        for node in graph.graph.node
        if node.op_type in ARITHMETIC and len(shape := shapes.get(node.output[0], [])) == 4 and shape[3] == 1
    ]


def _entrance(graph: Any) -> list[str]:
    """Names of the nodes that normalise the image, and of a small convolution behind them.

    The convolution that is not among them then reads the normalised image from 8 bits, not from 8 bits of 8 bits.
    """
    weights = {tensor.name: tensor for tensor in graph.graph.initializer}
    names, reached = [], {value.name for value in graph.graph.input}
    for node in graph.graph.node:
        given = [name for name in node.input if name and name not in weights]
        if not given or not reached.issuperset(given):
            continue
        if node.op_type == "Transpose" or node.op_type in ARITHMETIC:
            reached.update(node.output)
        elif node.op_type != "Conv" or np.prod(weights[node.input[1]].dims[1:]) > FEW:
            continue
        names.append(node.name)
    return names


def _batch_size(graph: Any) -> int:
    """The graph's own batch where it is fixed, else one image."""
    return graph.graph.input[0].type.tensor_type.shape.dim[0].dim_value or 1
