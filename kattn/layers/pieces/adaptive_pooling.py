"""Average pooling to a given size, as torch's adaptive pooling divides a side into bins."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops


def averaging(old: Any, new: int, dtype: str = "float32") -> Any:
    """The (new, old) matrix that averages a side of `old` samples in `new` bins.

    Bin i is of the samples from floor(i old / new) to below ceil((i + 1) old / new): bins overlap where `new` does not
    divide `old`, and repeat samples where it is larger. A size known in advance gives an array, another one a tensor.
    """
    known = isinstance(old, int)
    index = np.arange(new) if known else ops.arange(new, dtype="int32")
    samples = np.arange(old) if known else ops.arange(old, dtype="int32")
    start, end = index * old // new, -(-(index + 1) * old // new)
    inside = (samples[None, :] >= start[:, None]) & (samples[None, :] < end[:, None])
    if known:
        return (inside / (end - start)[:, None]).astype(dtype)
    return ops.cast(inside, dtype) / ops.cast(end - start, dtype)[:, None]


def adaptive_average(x: Any, size: tuple[int, int]) -> Any:
    """A (batch, height, width, channels) map to (batch, *size, channels), by two products with constant matrices."""
    _, height, width, channels = ops.shape(x)
    dtype = keras.backend.standardize_dtype(x.dtype)
    rows, columns = (averaging(old, new, dtype) for old, new in zip((height, width), size, strict=True))
    x = ops.matmul(ops.convert_to_tensor(rows), ops.reshape(x, (-1, height, width * channels)))
    return ops.matmul(ops.convert_to_tensor(columns), ops.reshape(x, (-1, size[0], width, channels)))
