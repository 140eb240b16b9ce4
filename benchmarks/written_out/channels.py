"""Channel gates and contexts, and the convolutions that mix branches."""

from __future__ import annotations

import math
from typing import Any

from keras import layers, ops

from written_out.pieces import attend, conv, conv_norm, like, mean, norm, pad, rows, spread, transposed


def se(x: Any, reduction: int = 16) -> Any:
    channels = x.shape[-1]
    gate = layers.Dense(channels // reduction, activation="relu")(mean(x))
    return x * spread(layers.Dense(channels, activation="sigmoid")(gate))


def eca(x: Any) -> Any:
    channels = x.shape[-1]
    size = int(abs(math.log2(channels) + 1) / 2)
    squeezed = ops.expand_dims(mean(x), -1)
    gate = layers.Conv1D(1, size if size % 2 else size + 1, padding="same", use_bias=False)(squeezed)
    return x * ops.sigmoid(ops.reshape(gate, (-1, 1, 1, channels)))


def ge(x: Any, variant: str = "theta", extent: int = 0) -> Any:
    if variant == "theta_minus":
        gate = layers.AveragePooling2D(2 * extent - 1, strides=extent, padding="same")(x)
        return x * ops.sigmoid(layers.UpSampling2D(extent)(gate))
    gate = layers.DepthwiseConv2D(x.shape[1:3], use_bias=False)(x)
    return x * ops.sigmoid(norm(gate))


def cbam(x: Any, reduction: int = 16) -> Any:
    channels = x.shape[-1]
    hidden, out = layers.Dense(channels // reduction, activation="relu"), layers.Dense(channels)
    pooled = (mean(x), layers.GlobalMaxPooling2D()(x))
    x = x * spread(ops.sigmoid(out(hidden(pooled[0])) + out(hidden(pooled[1]))))
    described = ops.concatenate([ops.max(x, axis=-1, keepdims=True), ops.mean(x, axis=-1, keepdims=True)], axis=-1)
    return x * ops.sigmoid(norm(conv(described, 1, 7, use_bias=False)))


def bam(x: Any, reduction: int = 16) -> Any:
    channels = x.shape[-1]
    hidden = channels // reduction
    channel = layers.Dense(channels)(ops.relu(norm(layers.Dense(hidden)(mean(x)))))
    spatial = conv_norm(x, hidden, use_bias=True)
    for _ in range(2):
        spatial = conv_norm(spatial, hidden, 3, dilation_rate=4, use_bias=True)
    return x * (1 + ops.sigmoid(spread(channel) * conv(spatial, 1)))


def context(x: Any) -> Any:
    """A softmax over the positions, then their weighed sum, (batch, 1, channels)."""
    weights = ops.softmax(rows(conv(x, 1)), axis=1)
    return ops.matmul(transposed(weights), rows(x))


def gc(x: Any, reduction: int = 16) -> Any:
    channels = x.shape[-1]
    hidden = layers.LayerNormalization(epsilon=1e-5)(layers.Dense(channels // reduction)(context(x)))
    return x + spread(layers.Dense(channels)(ops.relu(hidden)))


def snl(x: Any) -> Any:
    return x + spread(layers.Dense(x.shape[-1])(context(x)))


def nl(x: Any, mode: str = "embedded_gaussian") -> Any:
    channels = x.shape[-1]
    inner = channels // 2
    pooled = layers.MaxPooling2D(2)(x)
    if mode == "gaussian":
        query, key = rows(x), rows(pooled)
    else:
        query, key = rows(conv(x, inner)), rows(conv(pooled, inner))
    value = rows(conv(pooled, inner))
    if mode == "dot_product":
        gathered = ops.matmul(ops.matmul(query, transposed(key)) / key.shape[1], value)
    else:
        gathered = attend(query, key, value, query.shape[-1] ** -0.5)
    return x + norm(conv(like(gathered, x), channels))


def sk(x: Any, filters: int) -> Any:
    branches = [conv_norm(x, filters, 3, groups=32, dilation_rate=d, use_bias=False) for d in (1, 2)]
    hidden = norm(layers.Dense(max(filters // 16, 32), use_bias=False)(mean(branches[0] + branches[1])))
    scores = [layers.Dense(filters, use_bias=False)(ops.relu(hidden)) for _ in branches]
    weights = ops.softmax(ops.stack(scores, axis=1), axis=1)
    return branches[0] * spread(weights[:, 0]) + branches[1] * spread(weights[:, 1])


def splat(x: Any, filters: int) -> Any:
    channels = x.shape[-1]
    packed = conv_norm(x, 2 * filters, 3, groups=2, use_bias=False)
    splits = ops.split(packed, 2, axis=-1)
    hidden = ops.relu(norm(layers.Dense(max(channels // 2, 32))(mean(splits[0] + splits[1]))))
    scores = [layers.Dense(filters)(hidden) for _ in splits]
    weights = ops.softmax(ops.stack(scores, axis=1), axis=1)
    return splits[0] * spread(weights[:, 0]) + splits[1] * spread(weights[:, 1])


def afi(maps: Any, reduction: int = 4) -> Any:
    channels = maps[0].shape[-1]
    hidden = layers.Dense(channels // reduction, activation="relu", use_bias=False)
    out = layers.Dense(channels, use_bias=False)
    scores = ops.stack([out(hidden(mean(x))) for x in maps], axis=1)
    weights = ops.reshape(ops.softmax(scores, axis=1), (-1, len(maps), 1, 1, channels))
    return ops.sum(ops.stack(maps, axis=1) * weights, axis=1)


def c3(x: Any, reduction: int = 8) -> Any:
    _, height, width, channels = x.shape
    area, blocks = height * width, max(1, channels // 512)
    responses = ops.reshape(transposed(rows(x)), (-1, blocks, channels // blocks, area))
    values = layers.Dense(area)(layers.Dense(area // reduction, activation="relu")(responses))
    means = ops.stop_gradient(ops.mean(values, axis=-1, keepdims=True))
    weights = ops.softmax(-ops.square(means - ops.transpose(means, (0, 1, 3, 2))), axis=-1)
    heard = ops.matmul(weights, values)
    heard = norm(layers.Dense(area)(layers.Dense(area // reduction, activation="relu")(heard)))
    heard = ops.transpose(ops.reshape(heard, (-1, channels, height, width)), (0, 2, 3, 1))
    return ops.relu(x + heard)


def abn(x: Any, classes: int) -> Any:
    features = conv_norm(norm(x), classes, use_bias=False)
    logits = mean(conv(features, classes, use_bias=False))
    return [logits, ops.sigmoid(norm(conv(pad(features), 1, 3, padding="valid", use_bias=False)))]


BLOCKS = {
    "abn": abn,
    "afi": afi,
    "bam": bam,
    "c3": c3,
    "cbam": cbam,
    "eca": eca,
    "gc": gc,
    "ge": ge,
    "nl": nl,
    "rcan_ca": se,
    "se": se,
    "sk": sk,
    "snl": snl,
    "splat": splat,
}
