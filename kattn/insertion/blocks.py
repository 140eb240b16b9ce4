"""The blocks that are inserted, a new one for each place: from a name, a class, a function or a layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from kattn.graph.copies import accepted, copy_layer
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
        self.source: Callable[..., Any]
        if isinstance(mechanism, str):
            get(mechanism, **options)  # an unknown name or option is an error with the closest ones
            self.source = LAYERS[mechanism]
        elif isinstance(mechanism, keras.Layer):
            if options:
                raise TypeError(
                    f"A layer has its options already: give its class, {type(mechanism).__name__}, to set "
                    f"{', '.join(options)}."
                )
            self.source = lambda: mechanism
        elif callable(mechanism):
            self.source = mechanism
        else:
            raise ValueError(
                f"mechanism must be a short name ({', '.join(sorted(LAYERS))}), a layer class, a function that makes a "
                f"layer, or a layer to copy. Received: mechanism={mechanism!r}"
            )
        self.common = accepted(self.source, ("name", "dtype"))
        try:
            first = self._from_source("block", None)
        except TypeError as problem:
            raise TypeError(
                f"The mechanism {mechanism!r} cannot be made with the options {options}: {problem}. A class or "
                "function must make a layer from them, and from name= and dtype= where it takes these."
            ) from problem
        self.made = [first]
        named = mechanism if isinstance(mechanism, str) else getattr(mechanism, "__name__", "<lambda>")
        self.title = type(first).__name__.lower() if named == "<lambda>" else named.lower()

    def make(self, name: str, dtype: Any) -> keras.Layer:
        """A block of its own for one place.

        Args:
            name: What the block is called.
            dtype: Its policy, if the mechanism takes one: a layer and a function without `dtype` keep their own.
        """
        layer = self._from_source(name, dtype)
        if layer.built or any(layer is one for one in self.made):
            layer = copy_layer(layer)
        self.made.append(layer)
        layer.name = name  # weights take it into their paths when they are created
        return layer

    def _from_source(self, name: str, dtype: Any) -> keras.Layer:
        common = {key: value for key, value in (("name", name), ("dtype", dtype)) if key in self.common}
        layer = self.source(**self.options, **common)
        if not isinstance(layer, keras.Layer):
            raise ValueError(f"A mechanism must make a layer. {self.source!r} made: {layer!r}")
        return layer
