"""Which accelerators take a graph: their operators by public tables, and what of XNNPACK was seen here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from kattn.export.proof.delegate_tables import DELEGATES, Delegate
from kattn.export.source.names import first_layers


def support(
    format: str, operators: Iterable[tuple[str, Sequence[str]]], *, integer: bool, layer_of: Callable[[str], str]
) -> dict[str, Any]:
    """By delegate: whether it takes the whole graph, and by operator the layers it leaves to the processor.

    Args:
        format: "tflite" or "onnx".
        operators: Each operator's name with names that tell its layer (of its tensors, or its own).
        integer: The graph is quantised.
        layer_of: Such a name to the Keras layer.
    """
    listed = list(operators)
    return {
        name: {
            "takes": "all" if not left and not barred else "none" if barred else "a part",
            "left": left,
            "note": "; ".join(filter(None, [barred, delegate.note])),
            "source": f"{delegate.source} ({delegate.read})",
        }
        for name, delegate in DELEGATES.items()
        if delegate.format == format
        for left in [_left(delegate, listed, layer_of)]
        for barred in [_barred(delegate, integer)]
    }


def xnnpack(path: Path, layer_of: Callable[[str], str]) -> dict[str, Any]:
    """What XNNPACK takes of a .tflite file, seen in the interpreter that is installed here."""
    from importlib import metadata

    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    details = interpreter._get_ops_details()  # the only list that tells which operators a delegate replaced
    delegates = [operator for operator in details if operator["op_name"] == "DELEGATE"]
    nodes = [operator for operator in details if operator["op_name"] != "DELEGATE"]
    maker = {int(tensor): index for index, node in enumerate(nodes) for tensor in node["outputs"]}
    taken: set[int] = set()
    for delegate in delegates:
        given = {int(tensor) for tensor in delegate["inputs"]}
        waiting = [int(tensor) for tensor in delegate["outputs"]]
        while waiting:
            index = maker.get(waiting.pop())
            if index is not None and index not in taken:
                taken.add(index)
                waiting.extend(int(t) for t in nodes[index]["inputs"] if int(t) not in given)
    names = {detail["index"]: detail["name"] for detail in interpreter.get_tensor_details()}
    left: dict[str, list[str]] = {}
    for index, node in enumerate(nodes):
        if index not in taken:
            layers = [layer_of(names.get(int(t), "?")) for t in node["outputs"]]
            left.setdefault(node["op_name"], []).extend(layers)
    return {
        "takes": "all" if not left else "a part" if taken else "none",
        "left": {name: first_layers(layers) for name, layers in left.items()},
        "note": f"{len(taken)} of {len(nodes)} operators in {len(delegates)} parts",
        "source": f"seen here, ai-edge-litert {metadata.version('ai-edge-litert')}",
    }


def _left(
    delegate: Delegate, operators: Iterable[tuple[str, Sequence[str]]], layer_of: Callable[[str], str]
) -> dict[str, list[str]]:
    left: dict[str, list[str]] = {}
    for name, names in operators:
        if name not in delegate.operators:
            layers = [layer_of(given) for given in names]
            known = [layer for layer, given in zip(layers, names, strict=True) if layer != given]
            left.setdefault(name, []).append((known or layers or ["?"])[0])
    return {name: first_layers(layers) for name, layers in left.items()}


def _barred(delegate: Delegate, integer: bool) -> str:
    if delegate.integer == "only" and not integer:
        return "takes 8-bit graphs only"
    return "takes floating point only" if delegate.integer == "no" and integer else ""
