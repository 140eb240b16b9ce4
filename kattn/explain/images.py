"""Images as a model takes them: checked before anything is computed, in batches, and maps back at their size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from kattn.facts.of_model import image_of
from kattn.facts.pixels import as_input
from kattn.facts.stated import Stated
from kattn.graph.inputs import require_graph


def checked_images(model: keras.Model, images: Any, stated: Mapping[str, Any] | None = None) -> np.ndarray:
    """Images as float32 (images, height, width, channels), as the model takes them.

    Args:
        model: The model.
        images: An array, which is taken as it is. Bytes are 8-bit images, and are brought to the range of a model whose
            range is known.
        stated: What the caller states of the model: arguments of `kattn.facts.stated.Stated`.

    Raises: ValueError for no batch of images, another size or number of channels than the model's, values that are no
        numbers or not finite, and values that a model does not take that is known to take others.
    """
    array = _numbers(model, images)
    return as_input(array, image_of(model, Stated.of(stated or {})), model.name).astype("float32")


def check_batch(model: keras.Model, images: Any) -> None:
    """Raise ValueError for what is no batch of images of a model's size, whatever their range."""
    _numbers(model, images)


def _numbers(model: keras.Model, images: Any) -> np.ndarray:
    array = np.asarray(images)
    require_graph(model)
    if array.ndim != 4 or not array.size or array.dtype.kind not in "uif":
        raise ValueError(
            f"images must be numbers (images, height, width, channels). Received: shape {array.shape}, {array.dtype}"
        )
    check_shape(model, array.shape[1:])
    if not np.isfinite(array).all():
        raise ValueError("images hold values that are not finite (NaN or infinite).")
    return array


def check_shape(model: keras.Model, shape: tuple[int, ...]) -> None:
    """Raise ValueError where a model does not take images of this (height, width, channels)."""
    require_graph(model)
    expected = tuple(model.inputs[0].shape[1:])
    if len(expected) != len(shape) or any(a not in (None, b) for a, b in zip(expected, shape, strict=True)):
        raise ValueError(
            f"the model takes images of (height, width, channels) {expected}. Received: {tuple(shape)}. "
            "kattn.explain.read_images(paths, model) reads files at the model's size."
        )


def in_batches(images: np.ndarray, batch_size: int) -> list[tuple[np.ndarray, int]]:
    """The images in batches, each with the number of its first image.

    Raises: ValueError for a batch size below 1.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1. Received: batch_size={batch_size}")
    return [(images[start : start + batch_size], start) for start in range(0, len(images), batch_size)]


def full_size(heat: Any, shape: Sequence[int]) -> np.ndarray:
    """Maps (batch, height, width) at the size of images of this shape, bilinearly, as numpy."""
    heat = ops.image.resize(
        ops.expand_dims(heat, -1), shape[1:3], interpolation="bilinear", data_format="channels_last"
    )
    return np.asarray(ops.convert_to_numpy(heat))[..., 0]
