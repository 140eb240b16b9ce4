"""What the written-out blocks share: convolutions, normalisation, rows of positions, the plain attention product."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import layers, ops


def conv(x: Any, filters: int, size: int = 1, **options: Any) -> Any:
    return layers.Conv2D(filters, size, **{"padding": "same"} | options)(x)


def norm(x: Any, **options: Any) -> Any:
    return layers.BatchNormalization(**{"epsilon": 1e-5, "momentum": 0.9} | options)(x)


def conv_norm(x: Any, filters: int, size: int = 1, slope: float = 0.0, **options: Any) -> Any:
    y = norm(conv(x, filters, size, **{"use_bias": False} | options))
    return ops.leaky_relu(y, slope) if slope else ops.relu(y)


def pad(x: Any, border: int = 1) -> Any:
    return layers.ZeroPadding2D(border)(x)


def mean(x: Any) -> Any:
    return layers.GlobalAveragePooling2D()(x)


def spread(vector: Any) -> Any:
    """(batch, channels) as (batch, 1, 1, channels)."""
    return ops.reshape(vector, (-1, 1, 1, vector.shape[-1]))


def rows(x: Any) -> Any:
    """A map as (batch, positions, channels)."""
    return ops.reshape(x, (-1, x.shape[1] * x.shape[2], x.shape[3]))


def like(y: Any, x: Any) -> Any:
    """Rows as a map of the size of x."""
    return ops.reshape(y, (-1, x.shape[1], x.shape[2], y.shape[-1]))


def transposed(x: Any) -> Any:
    return ops.transpose(x, (0, 2, 1))


def attend(query: Any, key: Any, value: Any, scale: float = 1.0) -> Any:
    """softmax(scale Q K^T) V over rows."""
    logits = ops.matmul(query, transposed(key))
    logits = logits * scale if scale != 1 else logits
    return ops.matmul(ops.softmax(logits, axis=-1), value)


class Gamma(layers.Layer):
    """x times one learned number."""

    def build(self, input_shape: Any) -> None:
        """Create the number."""
        self.gamma = self.add_weight(shape=(), initializer="zeros", name="gamma")

    def call(self, x: Any) -> Any:
        """Multiply."""
        return self.gamma * x


def resize_aligned(x: Any, height: int, width: int) -> Any:
    """Bilinear with aligned corners, by gathering the two neighbours along each axis."""
    for axis, size in ((1, height), (2, width)):
        old = x.shape[axis]
        at = np.arange(size) * ((old - 1) / max(size - 1, 1))
        low = np.minimum(np.floor(at).astype("int32"), max(old - 2, 0))
        share = (at - low).astype("float32").reshape((1, -1, 1, 1) if axis == 1 else (1, 1, -1, 1))
        below, above = ops.take(x, low, axis=axis), ops.take(x, np.minimum(low + 1, old - 1), axis=axis)
        x = below * (1 - share) + above * share
    return x


def cells(x: Any, count: int) -> list[list[Any]]:
    """count x count tiles; the last ones of a row or column take the remainder."""
    steps = [side // count for side in x.shape[1:3]]
    cuts = [[(i * step, None if i == count - 1 else (i + 1) * step) for i in range(count)] for step in steps]
    return [[x[:, top:bottom, left:right] for left, right in cuts[1]] for top, bottom in cuts[0]]


def joined(tiles: list[list[Any]]) -> Any:
    lines = [row[0] if len(row) == 1 else ops.concatenate(row, axis=2) for row in tiles]
    return lines[0] if len(lines) == 1 else ops.concatenate(lines, axis=1)
