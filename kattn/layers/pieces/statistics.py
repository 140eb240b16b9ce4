"""Means and variances of maps over their positions, in float32 where the map has half precision.

A sum of a map's squares leaves float16's range, 65,504, on maps that are no larger than 56x56.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

POSITIONS = (1, 2)


def in_full(x: Any) -> Any:
    """The map in float32, or as it is where that is more."""
    return ops.cast(x, keras.backend.result_type(x.dtype, "float32"))


def centred(x: Any) -> tuple[Any, Any]:
    """A map's mean over its positions, (batch, 1, 1, channels), and the map less that mean."""
    mean = ops.mean(x, axis=POSITIONS, keepdims=True)
    return mean, x - mean


def variance(difference: Any, *, unbiased: bool = False) -> Any:
    """Variance over the positions of a map less its mean, (batch, 1, 1, channels).

    Args:
        unbiased: Divide by the number of positions N less 1, as torch does unless told otherwise. Where a map is a
            single position, whose 0 / 0 is no number in torch, it is 0.
    """
    # A product: TensorFlow Lite has no square of 8 bits.
    biased = ops.mean(difference * difference, axis=POSITIONS, keepdims=True)
    return biased * bessel(difference) if unbiased else biased


def bessel(x: Any) -> Any:
    """N / (N - 1) of a map's N positions; 1 of a single one."""
    height, width = ops.shape(x)[1:3]
    count = height * width
    if isinstance(count, int):
        return count / max(count - 1, 1)
    count = ops.cast(count, x.dtype)
    return count / ops.maximum(count - 1, 1)
