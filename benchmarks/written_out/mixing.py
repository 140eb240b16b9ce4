"""Blocks of after 2018 that mix positions: A2, BAT, EMA, LKA, MHSA, polarized attention and strip pooling."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import layers, ops

from written_out.pieces import conv, conv_norm, like, norm, resize_aligned, rows, transposed


def a2(x: Any) -> Any:
    inner = x.shape[-1] // 2
    values, where, shares = (rows(conv(x, inner)) for _ in range(3))
    gathered = ops.matmul(transposed(values), ops.softmax(where, axis=1))
    y = ops.matmul(ops.softmax(shares, axis=-1), transposed(gathered))
    return x + conv(like(y, x), x.shape[-1])


def bat(x: Any, matrices: int = 4) -> Any:
    _, height, width, channels = x.shape
    inner = channels // 2
    size = next(size for size in range(7, 0, -1) if height % size == width % size == 0)
    u = conv_norm(x, inner, use_bias=True)
    pooled = conv_norm(u, matrices, use_bias=True)
    sides = []
    for band, kernel in (((height // size, width), (size, 1)), ((height, width // size), (1, size))):
        bands = layers.MaxPooling2D(band)(pooled)
        matrix = layers.Conv2D(matrices * size**2, kernel, activation="sigmoid")(bands)
        sides.append(ops.reshape(matrix, (-1, matrices, size, size)))
    left = sides[0] / ops.sum(sides[0], axis=-1, keepdims=True)
    right = sides[1] / ops.sum(sides[1], axis=-2, keepdims=True)
    left, right = repeated(left, height // size), repeated(right, width // size)
    parts = ops.transpose(ops.reshape(u, (-1, height, width, matrices, inner // matrices)), (0, 3, 4, 1, 2))
    parts = ops.matmul(ops.matmul(left[:, :, None], parts), right[:, :, None])
    v = ops.reshape(ops.transpose(parts, (0, 3, 4, 1, 2)), (-1, height, width, inner))
    y = conv_norm(conv_norm(v, inner, use_bias=True), channels, use_bias=True)
    return x + layers.SpatialDropout2D(0.2)(y)


def repeated(matrices: Any, count: int) -> Any:
    """Every entry by the identity of so many rows: the Kronecker product of the paper."""
    _, groups, size, _ = matrices.shape
    product = matrices[:, :, :, None, :, None] * np.eye(count, dtype="float32")[:, None, :]
    return ops.reshape(product, (-1, groups, size * count, size * count))


def ema(x: Any, factor: int = 32) -> Any:
    _, height, width, channels = x.shape
    size = channels // factor
    groups = ops.transpose(ops.reshape(x, (-1, height, width, factor, size)), (0, 3, 1, 2, 4))
    groups = ops.reshape(groups, (-1, height, width, size))
    columns = ops.transpose(ops.mean(groups, axis=1, keepdims=True), (0, 2, 1, 3))
    both = conv(ops.concatenate([ops.mean(groups, axis=2, keepdims=True), columns], axis=1), size)
    gate = ops.sigmoid(both[:, :height]) * ops.sigmoid(ops.transpose(both[:, height:], (0, 2, 1, 3)))
    one = layers.GroupNormalization(groups=-1, epsilon=1e-5)(groups * gate)
    two = conv(groups, size, 3)
    weight_one, weight_two = (ops.softmax(ops.mean(rows(branch), axis=1, keepdims=True)) for branch in (one, two))
    gate = ops.matmul(rows(two), transposed(weight_one)) + ops.matmul(rows(one), transposed(weight_two))
    y = ops.reshape(groups * ops.sigmoid(like(gate, groups)), (-1, factor, height, width, size))
    return ops.reshape(ops.transpose(y, (0, 2, 3, 1, 4)), (-1, height, width, channels))


def lka(x: Any) -> Any:
    near = layers.DepthwiseConv2D(5, padding="same")(x)
    far = layers.DepthwiseConv2D(7, padding="same", dilation_rate=3)(near)
    return x * conv(far, x.shape[-1])


def polarized(x: Any) -> Any:
    channels, inner = x.shape[-1], x.shape[-1] // 2
    query = ops.softmax(rows(conv(x, 1, use_bias=False)), axis=1)
    z = ops.matmul(transposed(rows(conv(x, inner, use_bias=False))), query)
    z = ops.reshape(z, (-1, 1, 1, inner))
    channel = ops.sigmoid(conv(z, channels, use_bias=False))
    mean = ops.mean(rows(conv(x, inner, use_bias=False)), axis=1, keepdims=True)
    scores = ops.matmul(mean, transposed(rows(conv(x, inner, use_bias=False))))
    spatial = ops.sigmoid(ops.softmax(scores, axis=-1))
    return x * channel + x * like(transposed(spatial), x)


class RelativeLogits(layers.Layer):
    """Of queries (batch, heads, height, width, d): q . (r_h + r_w), by the shift of rows of the BoTNet gist."""

    def build(self, shape: Any) -> None:
        """Make the two tables."""
        _, _, height, width, d = shape
        self.height_table, self.width_table = (self.add_weight(shape=(2 * n - 1, d)) for n in (height, width))

    def along(self, queries: Any, table: Any) -> Any:
        """(batch, heads, other, n, d) to (batch, heads, other, n, n)."""
        _, heads, other, n, _ = queries.shape
        scores = ops.matmul(queries, ops.transpose(ops.convert_to_tensor(table)))
        scores = ops.pad(scores, ((0, 0), (0, 0), (0, 0), (0, 0), (0, 1)))
        scores = ops.pad(ops.reshape(scores, (-1, heads, other, n * 2 * n)), ((0, 0), (0, 0), (0, 0), (0, n - 1)))
        return ops.reshape(scores, (-1, heads, other, n + 1, 2 * n - 1))[..., :n, n - 1 :]

    def call(self, queries: Any) -> Any:
        """The logits, (batch, heads, positions, positions)."""
        _, heads, height, width, _ = queries.shape
        columns = self.along(queries, self.width_table)[:, :, :, :, None]
        of_rows = self.along(ops.transpose(queries, (0, 1, 3, 2, 4)), self.height_table)
        of_rows = ops.transpose(of_rows, (0, 1, 3, 2, 4))[..., None]
        return ops.reshape(columns + of_rows, (-1, heads, height * width, height * width))

    def compute_output_shape(self, shape: Any) -> Any:
        """One logit for each pair of positions."""
        batch, heads, height, width, _ = shape
        return batch, heads, height * width, height * width


def mhsa(x: Any, heads: int = 4) -> Any:
    _, height, width, channels = x.shape
    d = channels // heads

    def split(y: Any) -> Any:
        return ops.transpose(ops.reshape(y, (-1, height * width, heads, d)), (0, 2, 1, 3))

    queries, keys, values = (split(conv(x, channels, use_bias=False)) for _ in range(3))
    queries = queries * d**-0.5
    logits = ops.matmul(queries, ops.transpose(keys, (0, 1, 3, 2)))
    logits = logits + RelativeLogits()(ops.reshape(queries, (-1, heads, height, width, d)))
    y = ops.matmul(ops.softmax(logits, axis=-1), values)
    return ops.reshape(ops.transpose(y, (0, 2, 1, 3)), (-1, height, width, channels))


def strip(x: Any) -> Any:
    channels = x.shape[-1]
    of_rows = norm(conv(ops.mean(x, axis=2, keepdims=True), channels, (3, 1), use_bias=False))
    columns = norm(conv(ops.mean(x, axis=1, keepdims=True), channels, (1, 3), use_bias=False))
    return x * ops.sigmoid(conv(ops.relu(of_rows + columns), channels))


def bins(x: Any, count: int) -> Any:
    """Means over count x count cells, which overlap where the count does not divide the sides."""
    for axis in (1, 2):
        side = x.shape[axis]
        cuts = [(i * side // count, -(-(i + 1) * side // count)) for i in range(count)]
        x = ops.concatenate(
            [ops.mean(ops.take(x, range(*cut), axis=axis), axis=axis, keepdims=True) for cut in cuts], axis=axis
        )
    return x


def strip_mixed(x: Any) -> Any:
    _, height, width, channels = x.shape
    inner = channels // 4

    def unit(y: Any, size: Any) -> Any:
        return norm(conv(y, inner, size, use_bias=False))

    one, two = conv_norm(x, inner), conv_norm(x, inner)
    grids = unit(one, 3)
    for count in (20, 12):
        grids = grids + resize_aligned(unit(bins(one, count), 3), height, width)
    strips = unit(ops.mean(two, axis=1, keepdims=True), (1, 3)) + unit(ops.mean(two, axis=2, keepdims=True), (3, 1))
    both = ops.concatenate([ops.relu(unit(ops.relu(y), 3)) for y in (grids, strips)], axis=-1)
    return ops.relu(x + norm(conv(both, channels, use_bias=False)))


BLOCKS = {
    "a2": a2,
    "bat": bat,
    "ema": ema,
    "lka": lka,
    "mhsa": mhsa,
    "polarized": polarized,
    "strip": strip,
    "strip_mixed": strip_mixed,
}
