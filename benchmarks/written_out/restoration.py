"""RCAN, SAN, RNAN and non-local means."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import layers, ops

from written_out.channels import se
from written_out.pieces import Gamma, attend, cells, conv, joined, like, pad, rows, spread, transposed


def residual(x: Any) -> Any:
    return x + conv(ops.relu(conv(x, x.shape[-1], 3)), x.shape[-1], 3)


def rcab(x: Any) -> Any:
    return x + se(conv(ops.relu(conv(x, x.shape[-1], 3)), x.shape[-1], 3))


def rcan(x: Any, blocks: int) -> Any:
    y = x
    for _ in range(blocks):
        y = rcab(y)
    return x + conv(y, x.shape[-1], 3)


def soca(x: Any, iterations: int = 5, reduction: int = 16) -> Any:
    channels = x.shape[-1]
    flat = rows(x)
    centred = flat - ops.mean(flat, axis=1, keepdims=True)
    covariance = ops.matmul(transposed(centred), centred) / flat.shape[1]
    identity = np.eye(channels, dtype="float32")
    trace = ops.sum(covariance * identity, axis=(1, 2), keepdims=True)
    a = covariance / trace
    t = 0.5 * ops.subtract(3 * identity, a)
    y, z = ops.matmul(a, t), t
    for _ in range(iterations - 2):
        t = 0.5 * ops.subtract(3 * identity, ops.matmul(z, y))
        y, z = ops.matmul(y, t), ops.matmul(t, z)
    y = 0.5 * ops.matmul(y, ops.subtract(3 * identity, ops.matmul(z, y))) * ops.sqrt(trace)
    gate = layers.Dense(channels // reduction, activation="relu")(ops.mean(y, axis=1))
    return x * spread(layers.Dense(channels, activation="sigmoid")(gate))


class RegionNonLocal(layers.Layer):
    """The same non-local block, pooled keys and values, on each of four tiles."""

    def build(self, input_shape: Any) -> None:
        """Create the projections."""
        channels = input_shape[-1]
        self.theta, self.phi, self.g = (layers.Conv2D(channels // 8, 1) for _ in range(3))
        self.w, self.pool = layers.Conv2D(channels, 1), layers.MaxPooling2D(2)
        for layer in (self.theta, self.phi, self.g):
            layer.build(input_shape)
        self.w.build((*input_shape[:-1], channels // 8))

    def call(self, x: Any) -> Any:
        """Tile by tile."""
        return joined([[self.tile(part) for part in line] for line in cells(x, 2)])

    def tile(self, x: Any) -> Any:
        """y = W softmax(theta phi^T) g + x."""
        query, key, value = self.theta(x), self.pool(self.phi(x)), self.pool(self.g(x))
        return x + self.w(like(attend(rows(query), rows(key), rows(value)), x))


def rl_nl(x: Any) -> Any:
    return RegionNonLocal()(x)


def lsrag(x: Any, blocks: int) -> Any:
    y = x
    for _ in range(blocks):
        y = residual(y)
    return x + conv(soca(y), x.shape[-1], 3)


def san(x: Any, groups: int, blocks: int) -> Any:
    non_local, gamma = RegionNonLocal(), Gamma()
    source = non_local(x)
    y = source
    for _ in range(groups):
        y = lsrag(y, blocks) + gamma(source)
    return non_local(y) + x


def rnan_nl(x: Any) -> Any:
    channels = x.shape[-1]
    query, key, value = (rows(conv(x, channels // 2)) for _ in range(3))
    weights = ops.softmax(ops.matmul(query, transposed(key)), axis=1)
    return conv(like(ops.matmul(weights, value), x), channels) + x


def residual_attention(x: Any, wide: bool) -> Any:
    """With a trunk of one residual block and one at the bottom of the mask."""
    channels, (height, width) = x.shape[-1], x.shape[1:3]
    fine = rnan_nl(x) if wide else x
    coarse = residual(conv(pad(fine), channels, 3, strides=2, padding="valid"))
    enlarged = layers.Conv2DTranspose(channels, 6, strides=2, padding="same")(coarse)
    mask = ops.sigmoid(conv(fine + enlarged[:, :height, :width], channels))
    return x + residual(x) * mask


def rab(x: Any, **_: Any) -> Any:
    return residual_attention(x, wide=False)


def rnab(x: Any, **_: Any) -> Any:
    return residual_attention(x, wide=True)


def nlm(x: Any, sigma: float) -> Any:
    padded = ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    patches = rows(ops.image.extract_patches(padded, (3, 3), strides=1, padding="valid"))
    squares = ops.sum(ops.square(patches), axis=-1, keepdims=True)
    # Not squares + transposed(squares) first: TensorFlow 2.21 gets that sum wrong at 97x97, in a model, on a CPU.
    distances = (squares - 2 * ops.matmul(patches, transposed(patches))) + transposed(squares)
    weights = ops.exp(distances / (-2 * sigma**2))
    weights = weights / ops.sum(weights, axis=-1, keepdims=True)
    return like(ops.matmul(weights, rows(x)), x)


BLOCKS = {
    "lsrag": lsrag,
    "nlm": nlm,
    "rab": rab,
    "rcab": rcab,
    "rcan": rcan,
    "rl_nl": rl_nl,
    "rnab": rnab,
    "rnan_nl": rnan_nl,
    "san": san,
    "soca": soca,
}
