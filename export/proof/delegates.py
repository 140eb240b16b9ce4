"""Which accelerators take a graph, by public tables of their operators."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
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
