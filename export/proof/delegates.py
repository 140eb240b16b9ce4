"""Which accelerators take a graph, by public tables of their operators."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from kattn.export.source.names import first_layers, layer_among


@dataclass(frozen=True)
class Delegate:
    """An accelerator; the attributes are explained in delegates.toml."""

    format: str
    integer: str
    source: str
    read: str
    note: str
    operators: frozenset[str]


@functools.cache
def delegates() -> dict[str, Delegate]:
    """The accelerators by name."""
    tables = tomllib.loads(resources.files(__package__).joinpath("delegates.toml").read_text(encoding="utf-8"))
    return {
        name: Delegate(**{**table, "operators": frozenset(table["operators"].split())})
        for name, table in tables.items()
    }


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
        for name, delegate in delegates().items()
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
            left.setdefault(name, []).append(layer_among(names, layer_of))
    return {name: first_layers(layers) for name, layers in left.items()}


def _barred(delegate: Delegate, integer: bool) -> str:
    if delegate.integer == "only" and not integer:
        return "takes 8-bit graphs only"
    return "takes floating point only" if delegate.integer == "no" and integer else ""
