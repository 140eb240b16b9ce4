"""Residual attention's module and the spatial transformer."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import layers, ops

from written_out.pieces import conv, conv_norm, norm, pad, resize_aligned, rows


def pre_activation(x: Any) -> Any:
    channels = x.shape[-1]
    y = conv(ops.relu(norm(x)), channels // 4, use_bias=False)
    y = conv(ops.relu(norm(y)), channels // 4, 3, use_bias=False)
    return x + conv(ops.relu(norm(y)), channels, use_bias=False)


def aggregated(x: Any) -> Any:
    channels = x.shape[-1]
    y = conv_norm(x, channels // 2)
    y = conv_norm(pad(y), channels // 2, 3, padding="valid", groups=32)
    return ops.relu(x + norm(conv(y, channels, use_bias=False)))


def pooled(x: Any) -> Any:
    """3x3 of stride 2, padded with what no maximum takes."""
    x = ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-1e30)
    return layers.MaxPooling2D(3, 2)(x)


def ran(x: Any, depth: int, unit: Any = pre_activation) -> Any:
    z = unit(x)
    trunk = unit(unit(z))
    y, skips = z, []
    for _ in range(1, depth):
        y = unit(pooled(y))
        skips.append(unit(y))
    y = unit(unit(pooled(y)))
    for skip in reversed(skips):
        y = unit(resize_aligned(y, *skip.shape[1:3]) + skip)
    y = resize_aligned(y, *z.shape[1:3])
    y = ops.relu(norm(y)) if unit is pre_activation else y
    y = ops.relu(norm(conv(y, x.shape[-1], use_bias=False)))
    mask = ops.sigmoid(conv(y, x.shape[-1], use_bias=False))
    return unit((1 + mask) * trunk)


def ran_next(x: Any, depth: int) -> Any:
    return ran(x, depth, aggregated)


def sample(x: Any, theta: Any) -> Any:
    """Bilinear, half-pixel, zero outside: torch's affine_grid and grid_sample."""
    _, height, width, channels = x.shape
    across, down = (2 * np.arange(width) + 1) / width - 1, (2 * np.arange(height) + 1) / height - 1
    grid = np.stack([*np.meshgrid(across, down), np.ones((height, width))]).reshape(3, -1).astype("float32")
    source = ops.matmul(ops.reshape(theta, (-1, 2, 3)), grid)  # (batch, 2, positions)
    u = ((source[:, 0] + 1) * width - 1) / 2
    v = ((source[:, 1] + 1) * height - 1) / 2
    left, top = ops.floor(u), ops.floor(v)
    flat, y = rows(x), 0.0
    for row, row_share in ((top, top + 1 - v), (top + 1, v - top)):
        for column, share in ((left, left + 1 - u), (left + 1, u - left)):
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            index = ops.clip(row, 0, height - 1) * width + ops.clip(column, 0, width - 1)
            pixels = ops.take_along_axis(flat, ops.expand_dims(ops.cast(index, "int32"), -1), axis=1)
            weight = row_share * share * ops.cast(inside, "float32")
            y = y + ops.expand_dims(weight, -1) * pixels
    return ops.reshape(y, (-1, height, width, channels))


def stn_sampler(inputs: Any) -> Any:
    return sample(*inputs)


def stn(x: Any) -> Any:
    theta = layers.Dense(6)(layers.Dense(32, activation="relu")(layers.Flatten()(x)))
    return sample(x, theta)


BLOCKS = {"ran": ran, "ran_next": ran_next, "stn": stn, "stn_sampler": stn_sampler}
