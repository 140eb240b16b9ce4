"""Look into an ONNX graph: its operators, and what makes it slow or unportable."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kattn.export.errors import ExportError

# Left behind by a careless conversion: normalisation that was not folded, shapes computed while it runs.
UNWANTED = {
    "BatchNormalization": "normalisation that was not folded into a convolution",
    "Shape": "a shape computed while the network runs",
    "Gather": "positions computed while the network runs",
    "Cast": "a conversion of number types inside the network",
}
TRANSPOSES = 2  # one where a channels-last image enters, one where a map leaves
DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")
UNTRANSLATED = ("PartitionedCall", "StatefulPartitionedCall")


def histogram(model: Any) -> dict[str, int]:
    """Operator to its number, the most frequent first; operators of other domains as "domain::Operator"."""
    names = (f"{node.domain}::{node.op_type}" if node.domain else node.op_type for node in model.graph.node)
    return dict(Counter(names).most_common())


def check(path: Path, model: Any) -> None:
    """The ONNX checker with shape inference, on the written file: it may be larger than one message in memory can be.

    Raises: ExportError with the checker's reason, or for operators of a domain that no runtime has (what tf2onnx leaves
        where it knows no translation).
    """
    import onnx

    for node in model.graph.node:
        if node.domain not in DOMAINS or node.op_type in UNTRANSLATED:
            name = f"{node.domain}::{node.op_type}" if node.domain else node.op_type
            raise ExportError(f"Node {node.name!r} is an operator that no runtime has: {name}.")
    try:
        onnx.checker.check_model(str(path), full_check=True)
    except Exception as error:
        raise ExportError(f"The ONNX checker refuses the graph: {str(error).strip()[:500]}") from error


def findings(model: Any, *, layer_of: Callable[[str], str]) -> dict[str, str]:
    """What was left that should not be, by operator: a sentence that names the layers.

    Args:
        layer_of: Node name to Keras layer.
    """
    found: dict[str, list[str]] = {}
    constant = {tensor.name for tensor in model.graph.initializer}
    constant |= {name for node in model.graph.node if node.op_type == "Constant" for name in node.output}
    for node in model.graph.node:
        if node.op_type == "Gather" and node.input[1] in constant:
            continue  # where a shape is taken apart, its Shape is found
        if node.op_type in UNWANTED:
            found.setdefault(node.op_type, []).append(layer_of(node.name))
    return {
        name: f"{name}: {UNWANTED[name]} (layers: {', '.join(list(dict.fromkeys(layers))[:5])})"
        for name, layers in found.items()
    }


def describe(values: Any) -> dict[str, dict[str, Any]]:
    """Name to shape and type of a graph's inputs or outputs."""
    import onnx

    described = {}
    for value in values:
        tensor = value.type.tensor_type
        shape = [dim.dim_param or dim.dim_value for dim in tensor.shape.dim]
        described[value.name] = {"shape": shape, "dtype": onnx.TensorProto.DataType.Name(tensor.elem_type).lower()}
    return described
