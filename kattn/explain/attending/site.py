"""One attention in a network: where it stands, and its shapes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras

Shape = tuple[int | None, ...]
Query = tuple[float, float] | None  # row and column in 0-1 of the map's height and width; None: the mean of all


@dataclass(frozen=True)
class Site:
    """An attention tensor of one layer call.

    Attributes:
        name: The call's name; "name:2" and so on for a layer's further attentions.
        layer: The layer.
        tensor: The attention, a Keras tensor (batch, ...).
        number: Which of the call's attentions.
        maps: Shapes (height, width, channels) of the maps that the layer takes.
        output: Shape of the first thing that the layer gives, without the batch.
        shapes: Of all attentions that the layer returns itself, without the batch.
    """

    name: str
    layer: keras.Layer
    tensor: Any
    number: int
    maps: tuple[Shape, ...]
    output: Shape
    shapes: tuple[Shape, ...]

    @property
    def shape(self) -> Shape:
        """Of the attention, without the batch."""
        return tuple(self.tensor.shape[1:])

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the layer's (first) map."""
        height, width = self.maps[0][:2]
        assert height is not None and width is not None  # sites are found on images of known size
        return height, width

    @property
    def channels(self) -> int | None:
        """Channels of the layer's (first) map."""
        return self.maps[0][2]
