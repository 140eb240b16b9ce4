"""Look into an ONNX graph: its operators, and what makes it slow or unportable."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kattn.export.errors import ExportError
from kattn.export.source.names import first_layers

# Left behind by a careless conversion: normalisation that was not folded, shapes computed while it runs.
UNWANTED = {
    "BatchNormalization": "normalisation that was not folded into a convolution",
    "Shape": "a shape computed while the network runs",
    "Gather": "positions computed while the network runs",
    "Cast": "a conversion of number types inside the network",
}
MOVES = ("Transpose", "Reshape", "Squeeze", "Unsqueeze", "Identity")  # operators that keep all values
POSITIONS = ("ArgMax", "ArgMin", "TopK")  # operators whose results are positions
TRANSPOSES = 2  # one where a channels-last image enters, one where a map leaves


def histogram(model: Any) -> dict[str, int]:
    """Operator to its number, the most frequent first; operators of other domains as "domain::Operator"."""
    names = (f"{node.domain}::{node.op_type}" if node.domain else node.op_type for node in model.graph.node)
    return dict(Counter(names).most_common())


def refuse_unknown(model: Any, *, layer_of: Callable[[str], str]) -> None:
    """Raise ExportError for operators that no runtime has: where tf2onnx knows no translation it leaves TensorFlow's.

    Args:
        layer_of: Node name to Keras layer.
    """
    import onnx

    versions = {entry.domain: entry.version for entry in model.opset_import}
    unknown: dict[str, list[str]] = {}
    for node in model.graph.node:
        if not onnx.defs.has(node.op_type, versions.get(node.domain, 1), node.domain):
            unknown.setdefault(node.op_type, []).append(owner(node, model.graph, layer_of))
    if unknown:
        layers = first_layers(layer for found in unknown.values() for layer in found)
        raise ExportError(
            f"ONNX has no operator for {', '.join(sorted(unknown))} (layers: {', '.join(layers)}). Write these "
            "layers with other operations."
        )


def check(path: Path) -> None:
    """The ONNX checker with shape inference, on the written file: it may be larger than one message in memory can be.

    Raises: ExportError with the checker's reason.
    """
    import onnx

    try:
        onnx.checker.check_model(str(path), full_check=True)
    except Exception as error:
        raise ExportError(f"The ONNX checker refuses the graph: {str(error).strip()[:500]}") from error


def findings(model: Any, *, layer_of: Callable[[str], str], open_sizes: bool = False) -> dict[str, str]:
    """What was left that should not be, by operator: a sentence that names the layers.

    Args:
        layer_of: Node name to Keras layer.
        open_sizes: The graph takes images of any size: it has to compute with shapes.
    """
    found: dict[str, list[str]] = {}
    constant = {tensor.name for tensor in model.graph.initializer}
    constant |= {name for node in model.graph.node if node.op_type == "Constant" for name in node.output}
    edges = _edges(model.graph)
    for node in model.graph.node:
        if open_sizes and node.op_type in ("Shape", "Gather", "Cast"):
            continue
        if node.op_type == "Gather" and constant.intersection(node.input):
            continue  # where a shape is taken apart, its Shape is found; rows of a table are no positions in a map
        if node.op_type == "Cast" and edges.intersection([*node.input, *node.output]):
            continue
        if node.op_type in UNWANTED:
            found.setdefault(node.op_type, []).append(owner(node, model.graph, layer_of))
    return {
        name: f"{name}: {UNWANTED[name]} (layers: {', '.join(first_layers(layers))})" for name, layers in found.items()
    }


def owner(node: Any, graph: Any, layer_of: Callable[[str], str]) -> str:
    """The layer of a node; of one that the conversion added, the layer whose result it works on."""
    makers = {name: other for other in graph.node for name in other.output}
    waiting = [node]
    for one in waiting:  # it grows
        names = (one.name, *one.output)
        if layer := next((layer_of(name) for name in names if layer_of(name) != name), None):
            return layer
        waiting += [makers[name] for name in one.input if name in makers and makers[name] not in waiting]
    return node.name


def _edges(graph: Any) -> set[str]:
    """Where a Cast is right: at integers that come in or go out, and at positions, 32 bits in Keras and 64 in ONNX."""
    coming, going = {value.name for value in graph.input}, {value.name for value in graph.output}
    for node in graph.node:
        if node.op_type in POSITIONS or (node.op_type in MOVES and coming.intersection(node.input)):
            coming.update(node.output)
    for node in reversed(graph.node):
        if node.op_type in MOVES and going.intersection(node.output):
            going.update(node.input)
    return coming | going


def describe(values: Any) -> dict[str, dict[str, Any]]:
    """Name to shape and type of a graph's inputs or outputs."""
    import onnx

    described = {}
    for value in values:
        tensor = value.type.tensor_type
        shape = [dim.dim_param or dim.dim_value for dim in tensor.shape.dim]
        described[value.name] = {"shape": shape, "dtype": onnx.TensorProto.DataType.Name(tensor.elem_type).lower()}
    return described
