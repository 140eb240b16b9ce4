"""The blocks that are inserted, a new one for each place: from a name, a class, a function or a layer."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import keras

from kattn.graph.copies import copy_layer
from kattn.layers import LAYERS, get

Mechanism = str | keras.Layer | Callable[..., keras.Layer]


class Blocks:
    """Makes a block for each place.

    Args:
        mechanism: Short name of a layer, a layer class, a function that makes a layer, or a layer to copy.
        options: Of the block.

    Attributes:
        title: A short name for the mechanism.

    Raises: ValueError for a mechanism that makes no layer, TypeError for options that it does not take.
    """

    def __init__(self, mechanism: Any, options: dict[str, Any]) -> None:
        self.options = options
        self.made: list[keras.Layer] = []
        self.source: Callable[..., Any]
        if isinstance(mechanism, str):
            get(mechanism, **options)  # an unknown name or option is an error with the closest ones
            self.title, self.source = mechanism, LAYERS[mechanism]
        elif isinstance(mechanism, keras.Layer):
            self.title, self.source = type(mechanism).__name__.lower(), lambda: mechanism
        elif callable(mechanism):
            self.title = getattr(_unwrapped(mechanism), "__name__", "attention").strip("<>").lower()
            self.source = mechanism
        else:
            raise ValueError(
                f"mechanism must be a short name ({', '.join(sorted(LAYERS))}), a layer class, a function that makes a "
                f"layer, or a layer to copy. Received: mechanism={mechanism!r}"
            )
        self.common = _accepted(self.source)
        try:
            self.make("probe", None)
        except TypeError as problem:
            raise TypeError(
                f"The mechanism {self.title!r} cannot be made with the options {options}: {problem}. A layer has its "
                "options already; a function makes a layer from them, and from name= and dtype= where it takes these."
            ) from problem

    def make(self, name: str, dtype: Any) -> keras.Layer:
        """A block of its own for one place.

        Args:
            name: What the block is called.
            dtype: Its policy, if the mechanism takes one: a layer and a function without `dtype` keep their own.
        """
        common = {key: value for key, value in (("name", name), ("dtype", dtype)) if key in self.common}
        layer = self.source(**self.options, **common)
        if not isinstance(layer, keras.Layer):
            raise ValueError(f"The mechanism {self.title!r} must make a layer. It made: {layer!r}")
        if layer.built or any(layer is one for one in self.made):
            layer = copy_layer(layer)
        self.made.append(layer)
        layer.name = name  # weights take it into their paths when they are created
        return layer


def _accepted(source: Callable[..., Any]) -> set[str]:
    """Which of the arguments `name` and `dtype` a class or function takes."""
    found: Any = _unwrapped(source)
    try:
        taken = inspect.signature(vars(found).get("__init__", found) if isinstance(found, type) else found).parameters
    except (TypeError, ValueError):  # a function that has no signature to read
        return set()
    anything = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in taken.values())
    return {"name", "dtype"} if anything else {"name", "dtype"} & set(taken)


def _unwrapped(source: Any) -> Any:
    """What a partial calls."""
    while isinstance(source, functools.partial):
        source = source.func
    return source
