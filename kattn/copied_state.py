"""The values of a model's copy."""

from __future__ import annotations

from collections.abc import Iterator

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
    for layer in _inside(target):
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()


def _inside(layer: keras.Layer) -> Iterator[keras.Layer]:
    yield layer
    for inner in getattr(layer, "layers", ()):
        yield from _inside(inner)
