"""Parameter-free steps on feature maps that mechanisms share: the way back from rows, pooling, nearest resize."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops


def to_map(rows: Any, like: Any) -> Any:
    """(batch, height * width, channels) back to a map of the height and width of `like`."""
    batch, height, width, _ = ops.shape(like)
    fixed = isinstance(height, int) and isinstance(width, int)
    return ops.reshape(rows, (-1 if fixed else batch, height, width, rows.shape[-1]))


def max_pool_2x2(x: Any) -> Any:
    """2x2 max pooling that drops an odd last row or column; a side of one is left as it is."""
    window = tuple(1 if side == 1 else 2 for side in x.shape[1:3])
    return ops.max_pool(x, window, strides=window, padding="valid", data_format="channels_last")


def max_pool_3x3(x: Any) -> Any:
    """3x3 max pooling of stride 2, padded by one on every side: sizes are halved, rounded up.

    The border is repeated instead of padded: the repeated value lies inside the window anyway, so the maximum is the
    one that padding with minus infinity gives, also for negative maps, and no extreme constant reaches a quantiser.
    """
    x = ops.concatenate([x[:, :1], x, x[:, -1:]], axis=1)
    x = ops.concatenate([x[:, :, :1], x, x[:, :, -1:]], axis=2)
    return ops.max_pool(x, 3, strides=2, padding="valid", data_format="channels_last")


def nearest(x: Any, height: Any, width: Any) -> Any:
    """Nearest-neighbour resize as torch's and caffe's: output i takes input floor(i * input size / output size)."""
    for axis, new in ((1, height), (2, width)):
        old = ops.shape(x)[axis]
        if isinstance(old, int) and isinstance(new, int):
            if old != new:
                x = ops.take(x, np.arange(new) * old // new, axis=axis)
        else:
            x = ops.take(x, ops.arange(new) * old // new, axis=axis)
    return x
