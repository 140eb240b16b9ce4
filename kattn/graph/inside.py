"""What is inside a layer or model: its layers, the models that it runs, its parameters."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import keras

from kattn.graph.inputs import is_functional


def all_layers(model: keras.Model) -> list[keras.Layer]:
    """Every layer of a model, those of nested models in place of the models."""
    found: list[keras.Layer] = []
    for layer in model.layers:
        nested = layer if isinstance(layer, keras.Model) else model_inside(layer)
        found += [] if layer is nested else [layer]
        found += [] if nested is None else all_layers(nested)
    return found


def model_inside(layer: Any) -> keras.Model | None:
    """The functional model that a TimeDistributed runs for each time step; None for all other layers."""
    inner = layer.layer if isinstance(layer, keras.layers.TimeDistributed) else None
    return inner if is_functional(inner) else None


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


def parameters(layer: keras.Layer) -> list[Any]:
    """The weights of a layer or model that training changes as long as nothing is frozen: all but its statistics."""
    learned = {id(v) for inner in all_inside(layer) for v in inner._trainable_variables}  # stays when a layer is frozen
    return [weight for weight in layer.weights if id(weight) in learned]


def count_parameters(layer: keras.Layer) -> int:
    """How many numbers `parameters` holds."""
    return sum(math.prod(weight.shape) for weight in parameters(layer))


def freeze(layer: keras.Layer) -> None:
    """Freeze a layer and all layers in it.

    A configuration freezes the layer alone, and to set `trainable` to what it is does nothing on TensorFlow.
    """
    layer.trainable = True
    layer.trainable = False
