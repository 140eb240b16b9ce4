"""`start="identity"`: a network with attention that begins as the plain network, with the plain network's weights."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import keras

from kattn.zoo.grammar.combining import AnyAttention
from kattn.zoo.grammar.sites import REPLACED, replaces_convolutions
from kattn.zoo.weights.agreement import OtherNetwork

IDENTITY = "identity"


def model_name(attention: str, backbone: str) -> str:
    """The name of a pair; the plain network is called like its backbone."""
    return backbone if attention == "none" else f"{attention}_{backbone}"


def check_start(name: str, start: Any, attention: AnyAttention, plain: str) -> None:
    """Raise ValueError for a `start=` that does not exist, or that the attention cannot have."""
    if start is None:
        return
    if start != IDENTITY:
        raise ValueError(f'start must be None or "{IDENTITY}". Received: start={start!r}')
    if replaces_convolutions(attention.used_sites()):
        sites = ", ".join(site for site in attention.used_sites() if site in REPLACED)
        raise ValueError(
            f'{name} cannot start="{IDENTITY}": its attention takes the place of convolutions ({sites}), so that the '
            f"weights of {plain or 'the plain network'} are not its own and no gate can undo it."
        )


@contextlib.contextmanager
def suggesting_start(name: str, plain: str, attention: AnyAttention) -> Iterator[None]:
    """Where weights are of another network, say what takes those of the plain one."""
    try:
        yield
    except OtherNetwork as problem:
        if not plain or not attention.used_sites() or replaces_convolutions(attention.used_sites()):
            raise
        raise OtherNetwork(
            f'{problem}\n  Weights of {plain} go into {name} with start="{IDENTITY}": its gates then change nothing '
            "until they are trained."
        ) from problem


def take_over(model: keras.Model, plain: keras.Model) -> None:
    """Give the layers of a network the values of the plain network's layers of the same names.

    Raises: ValueError where one of them is missing or of another shape.
    """
    there = {layer.name: layer for layer in model.layers}
    for layer in plain.layers:
        if not layer.weights:
            continue
        values = layer.get_weights()
        target = there.get(layer.name)
        if target is None or [tuple(w.shape) for w in target.weights] != [value.shape for value in values]:
            raise ValueError(f"{model.name} has no layer {layer.name} as in {plain.name}: its weights do not fit.")
        target.set_weights(values)
