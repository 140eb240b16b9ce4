"""The image that a model takes: its input, and pixels to the network's own scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras


def image_input(input_shape: Any, input_tensor: Any, default: tuple[int, int, int]) -> Any:
    """A new input of this shape, or the tensor that is given.

    Raises: ValueError for something else than a Keras tensor, a shape that is not (height, width, channels), or a
        tensor and a shape that contradict each other.
    """
    if input_tensor is None:
        shape = tuple(input_shape) if input_shape is not None else default
        check_shape(shape)
        check_order(shape)
        return keras.Input(shape, name="image")
    if not isinstance(input_tensor, keras.KerasTensor):
        raise ValueError(f"input_tensor must be a Keras tensor, keras.Input(...). Received: {input_tensor!r}")
    shape = tuple(input_tensor.shape[1:])
    if input_shape is not None and tuple(input_shape) != shape:
        raise ValueError(f"input_shape {tuple(input_shape)} is not input_tensor's shape {shape}; give one of them.")
    check_shape(shape)
    return input_tensor


def check_shape(shape: tuple[Any, ...]) -> None:
    """Raise ValueError for anything but (height, width, channels), of which the first two may be None."""

    def positive(size: Any) -> bool:
        return isinstance(size, int) and not isinstance(size, bool) and size >= 1

    if len(shape) != 3 or not positive(shape[2]) or not all(s is None or positive(s) for s in shape[:2]):
        raise ValueError(
            "input_shape must be (height, width, channels): height and width at least 1 or None, channels at least 1. "
            f"Received: {shape}"
        )


def check_order(shape: tuple[Any, ...]) -> None:
    """Raise ValueError for what is most likely (channels, height, width): 1, 3 or 4 rows of much wider pixels."""
    first, *others = shape
    if first in (1, 3, 4) and all(size is None or size > 4 for size in others):
        meant = (*others, first)
        raise ValueError(
            f"input_shape is (height, width, channels). Received: {shape}, which looks like (channels, height, width): "
            f"write input_shape={meant}. (An image that is {first} pixels high: input_tensor=keras.Input({shape}).)"
        )


def normalise(x: Any, mean: Sequence[float], std: Sequence[float]) -> Any:
    """Pixels 0-255 to zero mean and unit variance.

    Args:
        mean, std: Of RGB in 0-1. An image of another number of channels gets the mean of the three in each.
    """
    channels = x.shape[-1]
    mean, std = list(mean), list(std)
    if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
        raise ValueError(f"mean and std are three numbers, std's above 0. Received: mean={mean}, std={std}")
    if channels != 3:
        mean, std = [sum(mean) / 3] * channels, [sum(std) / 3] * channels
    scale = [1 / (255 * s) for s in std]
    offset = [-m / s for m, s in zip(mean, std, strict=True)]
    return keras.layers.Rescaling(scale, offset, name="normalise")(x)
