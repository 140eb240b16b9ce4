"""PSANet, EncNet, OCNet, DANet and CCNet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import layers, ops

from written_out.pieces import (
    Gamma,
    attend,
    cells,
    conv,
    conv_norm,
    joined,
    like,
    norm,
    resize_aligned,
    rows,
    spread,
    transposed,
)

SLOPE = 0.01


def dropped(x: Any, rate: float) -> Any:
    return layers.SpatialDropout2D(rate)(x)


def psa(x: Any, channels: int, shrink: int = 2) -> Any:
    _, height, width, wide = x.shape
    h, w = (height - 1) // shrink + 1, (width - 1) // shrink + 1
    rows_at, columns_at = np.divmod(np.arange(h * w), w)
    offset = (rows_at[None] - rows_at[:, None] + h - 1) * (2 * w - 1) + columns_at[None] - columns_at[:, None] + w - 1
    stacks = []
    for distribute in (False, True):
        r = resize_aligned(conv_norm(x, channels), h, w)
        m = rows(conv(conv_norm(r, channels), (2 * h - 1) * (2 * w - 1), use_bias=False))
        scores = ops.take_along_axis(m, offset[None].astype("int32"), axis=2)
        scores = transposed(scores) if distribute else scores
        stacks.append(like(ops.matmul(ops.softmax(scores, axis=-1), rows(r)), r))
    z = conv_norm(ops.concatenate(stacks, axis=-1), wide)
    return ops.concatenate([x, resize_aligned(z, height, width)], axis=-1)


class Codebook(layers.Layer):
    """Residuals to learned codewords, softly assigned and summed, every one of them formed."""

    def __init__(self, codes: int) -> None:
        super().__init__()
        self.codes = codes

    def build(self, input_shape: Any) -> None:
        """Create codewords and scales."""
        self.codewords = self.add_weight(shape=(self.codes, input_shape[-1]), name="codewords")
        self.scale = self.add_weight(shape=(self.codes,), name="scale")

    def call(self, x: Any) -> Any:
        """(batch, codes, channels)."""
        residuals = ops.expand_dims(rows(x), 2) - self.codewords
        weights = ops.softmax(self.scale * ops.sum(ops.square(residuals), axis=-1), axis=-1)
        return ops.sum(ops.expand_dims(weights, -1) * residuals, axis=1)


def encoding(x: Any, codes: int = 32) -> Any:
    return Codebook(codes)(x)


def context_encoding(x: Any, codes: int = 32) -> Any:
    channels = x.shape[-1]
    encoded = ops.relu(norm(Codebook(codes)(conv_norm(x, channels)), axis=1))
    gate = layers.Dense(channels, activation="sigmoid")(ops.mean(encoded, axis=1))
    return ops.relu(x + x * spread(gate))


def object_attention(x: Any, filters: int, keys: int, values: int, scale: int = 1, tiles: int = 1) -> Any:
    height, width = x.shape[1:3]
    x = layers.MaxPooling2D(scale)(x) if scale > 1 else x
    key, value = conv_norm(x, keys, slope=SLOPE, use_bias=True), conv(x, values)
    pairs = zip(cells(key, tiles), cells(value, tiles), strict=True)
    gathered = joined(
        [[like(attend(rows(k), rows(k), rows(v), keys**-0.5), k) for k, v in zip(*line, strict=True)] for line in pairs]
    )
    y = conv(gathered, filters)
    return resize_aligned(y, height, width) if scale > 1 else y


def object_attention_alone(x: Any) -> Any:
    channels = x.shape[-1]
    return object_attention(x, channels, channels // 2, channels // 2)


def object_context(x: Any) -> Any:
    channels = x.shape[-1]
    gathered = object_attention(x, channels, channels // 2, channels // 2)
    return dropped(conv_norm(ops.concatenate([gathered, x], axis=-1), channels, slope=SLOPE, use_bias=True), 0.05)


def object_context_asp(x: Any, filters: int, dilations: Sequence[int] = (12, 24, 36)) -> Any:
    near = conv_norm(x, filters, 3, slope=SLOPE, use_bias=True)
    gathered = object_attention(near, filters, filters // 2, filters, scale=2)
    parts = [conv_norm(gathered, filters, slope=SLOPE, use_bias=True), conv_norm(x, filters, slope=SLOPE)]
    parts += [conv_norm(x, filters, 3, slope=SLOPE, dilation_rate=d) for d in dilations]
    return dropped(conv_norm(ops.concatenate(parts, axis=-1), 2 * filters, slope=SLOPE), 0.1)


def object_context_pyramid(x: Any, tiles: Sequence[int] = (1, 2, 3, 6)) -> Any:
    channels = x.shape[-1]
    parts = [conv_norm(x, channels * len(tiles), slope=SLOPE, use_bias=True)]
    parts += [object_attention(x, channels, channels // 2, channels, tiles=count) for count in tiles]
    return dropped(conv_norm(ops.concatenate(parts, axis=-1), channels, slope=SLOPE, use_bias=True), 0.05)


def danet_position(x: Any) -> Any:
    channels = x.shape[-1]
    query, key, value = (rows(conv(x, width)) for width in (channels // 8, channels // 8, channels))
    return x + Gamma()(like(attend(query, key, value), x))


def danet_channel(x: Any) -> Any:
    flat = rows(x)
    energy = ops.matmul(transposed(flat), flat)
    weights = ops.softmax(ops.max(energy, axis=-1, keepdims=True) - energy, axis=-1)
    return x + Gamma()(like(ops.matmul(flat, transposed(weights)), x))


def danet(x: Any, classes: int) -> Any:
    inner = x.shape[-1] // 4
    position = conv_norm(danet_position(conv_norm(x, inner, 3)), inner, 3)
    channel = conv_norm(danet_channel(conv_norm(x, inner, 3)), inner, 3)
    return [conv(dropped(y, 0.1), classes) for y in (position + channel, position, channel)]


class CrissCross(layers.Layer):
    """The authors' code: two energies side by side, minus infinity where the column meets the position itself."""

    def build(self, input_shape: Any) -> None:
        """Create the projections."""
        channels = input_shape[-1]
        self.query, self.key = layers.Conv2D(channels // 8, 1), layers.Conv2D(channels // 8, 1)
        self.value, self.gamma = layers.Conv2D(channels, 1), Gamma()
        for layer in (self.query, self.key, self.value, self.gamma):
            layer.build(input_shape)

    def call(self, x: Any) -> Any:
        """One step."""
        height = x.shape[1]
        query, key, value = self.query(x), self.key(x), self.value(x)
        column = ops.einsum("bijc,btjc->bijt", query, key) + np.diag(np.full(height, -1e30, "float32"))[:, None]
        row = ops.einsum("bijc,bitc->bijt", query, key)
        weights = ops.softmax(ops.concatenate([column, row], axis=-1), axis=-1)
        gathered = ops.einsum("bijt,btjc->bijc", weights[..., :height], value)
        gathered = gathered + ops.einsum("bijt,bitc->bijc", weights[..., height:], value)
        return x + self.gamma(gathered)


def ccnet(x: Any) -> Any:
    step = CrissCross()
    return step(step(x))


def ccnet_head(x: Any, classes: int) -> Any:
    inner = x.shape[-1] // 4
    y = conv_norm(ccnet(conv_norm(x, inner, 3, SLOPE)), inner, 3, SLOPE)
    y = conv_norm(ops.concatenate([x, y], axis=-1), inner, 3, SLOPE)
    return conv(dropped(y, 0.1), classes)


BLOCKS = {
    "ccnet": ccnet,
    "ccnet_head": ccnet_head,
    "context_encoding": context_encoding,
    "danet": danet,
    "danet_channel": danet_channel,
    "danet_position": danet_position,
    "encoding": encoding,
    "object_attention": object_attention_alone,
    "object_context": object_context,
    "object_context_asp": object_context_asp,
    "object_context_pyramid": object_context_pyramid,
    "psa": psa,
}
