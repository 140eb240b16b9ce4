"""SAGAN's self-attention and style attention."""

from __future__ import annotations

from typing import Any

from keras import layers, ops

from written_out.pieces import Gamma, attend, conv, like, rows


def sagan(x: Any, form: str = "pytorch") -> Any:
    channels = x.shape[-1]
    if form == "pytorch":
        query, key, value = (rows(conv(x, width)) for width in (channels // 8, channels // 8, channels))
        return x + Gamma()(like(attend(query, key, value), x))
    value_width = channels // (2 if form == "release" else 8)
    maps = [conv(x, width, use_bias=False) for width in (channels // 8, channels // 8, value_width)]
    if form == "release":
        maps[1:] = [layers.MaxPooling2D(2)(y) for y in maps[1:]]
    gathered = like(attend(*(rows(y) for y in maps)), x)
    return x + Gamma()(conv(gathered, channels, use_bias=False))


def normalised(x: Any) -> Any:
    count = x.shape[1] * x.shape[2]
    mean, variance = ops.moments(x, axes=(1, 2), keepdims=True)
    return (x - mean) / ops.sqrt(variance * (count / (count - 1)) + 1e-5)


def sanet(inputs: Any) -> Any:
    content, style = inputs
    channels = content.shape[-1]
    query, key = conv(normalised(content), channels), conv(normalised(style), channels)
    gathered = attend(rows(query), rows(key), rows(conv(style, channels)))
    return conv(like(gathered, content), channels) + content


def sanet_multi(inputs: Any) -> Any:
    fine, coarse = sanet(inputs[:2]), sanet(inputs[2:])
    height, width = fine.shape[1:3]
    merged = fine + layers.UpSampling2D(2)(coarse)[:, :height, :width]
    padded = ops.pad(merged, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    return conv(padded, fine.shape[-1], 3, padding="valid")


BLOCKS = {"sagan": sagan, "sanet": sanet, "sanet_multi": sanet_multi}
