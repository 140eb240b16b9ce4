"""Parameter-free steps on feature maps that mechanisms share: the way back from rows, pooling, nearest resize."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from kattn.layers.pieces.attend import softmax
from kattn.layers.pieces.portable import portable


def to_map(rows: Any, like: Any) -> Any:
    """(batch, height * width, channels) back to a map of the height and width of `like`."""
    batch, height, width, _ = ops.shape(like)
    fixed = isinstance(height, int) and isinstance(width, int)
    return ops.reshape(rows, (-1 if fixed else batch, height, width, rows.shape[-1]))


def softmax_mean(x: Any, logits: Any) -> tuple[Any, Any]:
    """The mean of a map over its positions, weighed by the softmax of one logit a position.

    Returns: (batch, 1, 1, channels), and the weights, (batch, height, width, 1).
    """
    _, height, width, channels = ops.shape(x)
    count = height * width
    if not portable():
        # Reads the map once. The logits have a single channel, so nothing is transposed.
        weights = softmax(ops.reshape(logits, (-1, 1, count)))
        context = ops.matmul(weights, ops.reshape(x, (-1, count, channels)))
        return ops.expand_dims(context, 1), ops.reshape(weights, (-1, height, width, 1))
    # By pooling over the positions: flattened maps cost transposes in exported graphs. The mean of e appears above and
    # below, so its 1/N cancels.
    e = ops.exp(logits - ops.max(logits, axis=(1, 2), keepdims=True))
    scale = 1.0 / ops.mean(e, axis=(1, 2), keepdims=True)
    context = ops.mean(x * e, axis=(1, 2), keepdims=True) * scale
    return context, e * (1.0 / ops.sum(e, axis=(1, 2), keepdims=True))


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
    """Nearest-neighbour resize as torch's and caffe's: output i takes input floor(i * input size / output size).

    Keras's resize measures from pixel centres instead, which is the same for whole factors upwards and no other.
    """
    _, old_height, old_width, _ = ops.shape(x)
    sizes = (old_height, old_width, height, width)
    if not all(isinstance(size, int) for size in sizes):
        x = ops.take(x, ops.arange(height) * old_height // height, axis=1)
        return ops.take(x, ops.arange(width) * old_width // width, axis=2)
    if (old_height, old_width) == (height, width):
        return x
    if height % old_height == 0 and width % old_width == 0:
        # Copies behind each other, read as more rows and columns: TensorFlow's own resize has no gradient under XLA.
        rows, columns, channels = height // old_height, width // old_width, x.shape[-1]
        x = ops.reshape(ops.concatenate([x] * columns, axis=-1), (-1, old_height, width, channels))
        return ops.reshape(ops.concatenate([x] * rows, axis=2), (-1, height, width, channels))
    if old_height % height == 0 and old_width % width == 0:
        return x[:, :: old_height // height, :: old_width // width]
    # Slower backwards than the two above: the gradient of a gather is a scatter.
    x = ops.take(x, np.arange(height) * old_height // height, axis=1)
    return ops.take(x, np.arange(width) * old_width // width, axis=2)
