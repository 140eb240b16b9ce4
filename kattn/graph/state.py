"""The values of a model's copy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras


def assign_state(target: keras.Layer, source: keras.Layer) -> None:
    """Give a copy of a layer or model, built from its configuration, the values of the original.

    Preprocessing layers compute with tensors that they derive from their variables once (an adapted Normalization its
    mean and variance): these are derived anew.

    Args:
        target: The copy.
        source: The original, with the same variables in the same order.
    """
    for mine, theirs in zip(target.variables, source.variables, strict=True):
        mine.assign(keras.ops.convert_to_numpy(theirs))
    for layer in all_inside(target):
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()


def all_inside(value: Any, seen: set[int] | None = None) -> Iterator[Any]:
    """A layer and all that it holds, in attributes and collections."""
    seen = set() if seen is None else seen
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, keras.Layer):
        yield value
        inside: Any = vars(value).values()
    elif isinstance(value, dict):
        inside = value.values()
    elif isinstance(value, (list, tuple)):
        inside = value
    else:
        return
    for one in list(inside):
        yield from all_inside(one, seen)
