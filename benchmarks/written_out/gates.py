"""Gates of after 2018: eSE, SimAM, SRM, GCT, coordinate, triplet, shuffle and frequency attention."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from keras import layers, ops

from kattn.layers.frequency_channel_attention import FREQUENCIES, basis
from written_out.pieces import conv, mean, norm, spread


class Vector(layers.Layer):
    """One learned number for each channel of a map, or so many."""

    def __init__(self, size: int | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.size = size

    def build(self, shape: Any) -> None:
        """Make them."""
        self.vector = self.add_weight(shape=(self.size or shape[-1],), initializer="ones")

    def call(self, x: Any) -> Any:
        """The numbers."""
        return ops.convert_to_tensor(self.vector)

    def compute_output_shape(self, shape: Any) -> Any:
        """How many."""
        return (self.size or shape[-1],)


def ese(x: Any) -> Any:
    return x * spread(layers.Dense(x.shape[-1], activation="hard_sigmoid")(mean(x)))


def simam(x: Any) -> Any:
    squares = ops.square(x - ops.mean(x, axis=(1, 2), keepdims=True))
    spread_ = ops.sum(squares, axis=(1, 2), keepdims=True) / (x.shape[1] * x.shape[2] - 1)
    return x * ops.sigmoid(squares / (4 * (spread_ + 1e-4)) + 0.5)


def srm(x: Any) -> Any:
    count = x.shape[1] * x.shape[2]
    deviation = ops.sqrt(ops.var(x, axis=(1, 2)) * count / (count - 1) + 1e-5)
    return x * spread(ops.sigmoid(norm(Vector()(x) * mean(x) + Vector()(x) * deviation)))


def gct(x: Any) -> Any:
    embedding = Vector()(x) * ops.sqrt(ops.sum(ops.square(x), axis=(1, 2)) + 1e-5)
    root = ops.sqrt(ops.mean(ops.square(embedding), axis=-1, keepdims=True) + 1e-5)
    return x * spread(1 + ops.tanh(Vector()(x) * embedding / root + Vector()(x)))


def coord(x: Any, reduction: int = 32) -> Any:
    height, channels = x.shape[1], x.shape[-1]
    columns = ops.transpose(ops.mean(x, axis=1, keepdims=True), (0, 2, 1, 3))
    both = ops.concatenate([ops.mean(x, axis=2, keepdims=True), columns], axis=1)
    both = ops.hard_silu(norm(conv(both, max(8, channels // reduction))))
    rows = conv(both[:, :height], channels, activation="sigmoid")
    columns = conv(ops.transpose(both[:, height:], (0, 2, 1, 3)), channels, activation="sigmoid")
    return x * rows * columns


def triplet(x: Any) -> Any:
    total = 0.0
    for axis in (1, 2, 3):
        pooled = ops.stack([ops.max(x, axis=axis), ops.mean(x, axis=axis)], axis=-1)
        gate = ops.sigmoid(norm(conv(pooled, 1, 7, use_bias=False), momentum=0.99))
        total = total + x * ops.expand_dims(gate[..., 0], axis)
    return total / 3


def sa(x: Any, groups: int = 64) -> Any:
    _, height, width, channels = x.shape
    groups = math.gcd(groups, channels // 2)
    size = channels // groups // 2
    one, two = ops.split(ops.reshape(x, (-1, height, width, groups, 2 * size)), 2, axis=-1)
    average = ops.mean(one, axis=(1, 2), keepdims=True)
    one = one * ops.sigmoid(Vector(size)(x) * average + Vector(size, name="channel_bias")(x))
    normalised = two - ops.mean(two, axis=(1, 2), keepdims=True)
    normalised = normalised / ops.sqrt(ops.var(two, axis=(1, 2), keepdims=True) + 1e-5)
    normalised = Vector(size)(x) * normalised + Vector(size)(x)
    two = two * ops.sigmoid(Vector(size)(x) * normalised + Vector(size, name="position_bias")(x))
    y = ops.reshape(ops.concatenate([one, two], axis=-1), (-1, height, width, 2, channels // 2))
    return ops.reshape(ops.transpose(y, (0, 1, 2, 4, 3)), (-1, height, width, channels))


def fca(x: Any, reduction: int = 16) -> Any:
    _, height, width, channels = x.shape
    up, along = ([int(number) for number in numbers[:16]] for numbers in FREQUENCIES["top"])
    waves = [
        np.outer(basis(u * (height // 7), height), basis(v * (width // 7), width))
        for u, v in zip(up, along, strict=True)
    ]
    filters = np.repeat(np.stack(waves, axis=-1), channels // 16, axis=-1).astype("float32")
    gate = layers.Dense(channels // reduction, activation="relu", use_bias=False)(ops.sum(x * filters, axis=(1, 2)))
    return x * spread(layers.Dense(channels, activation="sigmoid", use_bias=False)(gate))


BLOCKS = {
    "coord": coord,
    "ese": ese,
    "fca": fca,
    "gct": gct,
    "sa": sa,
    "simam": simam,
    "srm": srm,
    "triplet": triplet,
}
