"""Bilinear resizing with aligned corners, as the references do it; Keras's resizing aligns pixel edges only."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops


def interpolation(old: Any, new: Any, dtype: str) -> Any:
    """The (new, old) matrix of linear interpolation: target i sits at i (old - 1) / (new - 1) between the old samples.

    Its entries are max(0, 1 - distance). Sizes known in advance give a constant; otherwise it is made in the graph.
    """
    if isinstance(old, int) and isinstance(new, int):
        at = np.arange(new) * ((old - 1) / max(new - 1, 1))
        hat = np.maximum(0.0, 1.0 - np.abs(at[:, None] - np.arange(old)[None, :]))
        return ops.convert_to_tensor(hat, dtype=dtype)
    step = ops.cast(old - 1, "float32") / ops.cast(ops.maximum(new - 1, 1), "float32")
    at = ops.cast(ops.arange(new), "float32") * step
    distance = ops.abs(ops.expand_dims(at, 1) - ops.expand_dims(ops.cast(ops.arange(old), "float32"), 0))
    return ops.cast(ops.maximum(0.0, 1.0 - distance), dtype)


def resize_align_corners(x: Any, size: tuple[Any, Any]) -> Any:
    """Resize a (batch, height, width, channels) map to `size`, the corner samples staying where they are.

    Two matrix products with the interpolation matrices, which every exporter knows.
    """
    _, height, width, channels = ops.shape(x)
    new_height, new_width = size
    rows = ops.matmul(interpolation(height, new_height, x.dtype), ops.reshape(x, (-1, height, width * channels)))
    rows = ops.reshape(rows, (-1, new_height, width, channels))
    return ops.matmul(interpolation(width, new_width, x.dtype), rows)
