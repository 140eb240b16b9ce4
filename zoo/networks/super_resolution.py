"""RCAN, SAN and RNAN: whole networks for super-resolution, made of their attention blocks.

All three take RGB pixels 0-255 of any height and width and give pixels of the same range, `scale` times as large, not
clipped and not rounded: mean shift, a 3x3 head, the body, an upsampler, a 3x3 tail, mean shift back.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from kattn.facts.description import ZOO
from kattn.facts.of_model import remember
from kattn.facts.stated import BYTES, Stated
from kattn.layers.pieces.residual_block import same_conv
from kattn.layers.rcan import ResidualChannelAttentionGroup
from kattn.layers.rnan import ResidualLocalAttentionBlock, ResidualNonLocalAttentionBlock
from kattn.layers.san import NonLocalResidualGroup
from kattn.zoo.inputs import check_order, check_shape
from kattn.zoo.weights.loading import load_weights

DIV2K_MEAN = (0.4488, 0.4371, 0.4040)  # of RGB in 0..1 over the 800 training images, as in all three releases


def rcan(
    *,
    scale: int = 2,
    groups: int = 10,
    blocks: int = 20,
    filters: int = 64,
    reduction: int = 16,
    input_shape: Sequence[int | None] = (None, None, 3),
    mean: Sequence[float] = DIV2K_MEAN,
    train_mean_shift: bool = True,
    weights: str | os.PathLike[str] | None = None,
    name: str | None = None,
) -> keras.Model:
    """RCAN: residual groups of channel-attention blocks, 15,444,667 parameters at x2 and 15,592,379 at x4.

    Args:
        scale: 2, 3, 4 or another power of two.
        groups: Residual groups.
        blocks: Channel-attention blocks of each.
        filters: Channels of all features.
        reduction: Of the channel attention.
        input_shape: (height, width, channels) of the small image; height and width may be None.
        mean: Of each channel in 0..1, or one number for all. It is subtracted first and added last.
        train_mean_shift: False freezes both shifts. The authors' code means to, but does not: in its weights they are
            trained.
        weights: None (random) or a path (.weights.h5, .keras).
        name: Of the model.

    Returns: A functional model, (batch, height, width, channels) to (batch, scale height, scale width, channels), in
        pixels 0-255.

    Weights from PyTorch: the channels of an upsampling convolution are (channel, dy, dx) there and (dy, dx, channel)
    here.
    Paper: Zhang, Li, Li, Wang, Zhong, Fu. Image Super-Resolution Using Very Deep Residual Channel Attention Networks.
        ECCV 2018. arXiv:1807.02758
    Code: yulunzhang/RCAN.
    """

    def body(features: Any) -> Any:
        x = features
        for i in range(1, groups + 1):
            x = ResidualChannelAttentionGroup(blocks, reduction=reduction, name=f"group{i}")(x)
        x = same_conv(filters, 3, name="body_conv")(x)
        return keras.layers.Add(name="long_skip")([x, features])

    return _network(name or "rcan", body, scale, filters, input_shape, mean, train_mean_shift, weights)


def san(
    *,
    scale: int = 2,
    groups: int = 20,
    blocks: int = 10,
    filters: int = 64,
    reduction: int = 16,
    iterations: int = 5,
    input_shape: Sequence[int | None] = (None, None, 3),
    mean: Sequence[float] = DIV2K_MEAN,
    train_mean_shift: bool = True,
    weights: str | os.PathLike[str] | None = None,
    name: str | None = None,
) -> keras.Model:
    """SAN: groups with second-order attention between two passes of a region-level non-local block.

    15,674,756 parameters at x2: the authors' 15,712,800 without the 38,044 that their code never uses.
    Memory grows as N^2 / 4 for N = height * width pixels of the small image, which needs at least 4 a side.

    Args:
        scale: 2, 3, 4 or another power of two.
        groups: Groups (LSRAG).
        blocks: Residual blocks of each.
        filters: Channels of all features.
        reduction: Of the second-order channel attention.
        iterations: Of its Newton-Schulz root.
        input_shape, mean, train_mean_shift, weights, name: As in `rcan`.

    Returns: As `rcan`.

    Paper: Dai, Cai, Zhang, Xia, Zhang. Second-Order Attention Network for Single Image Super-Resolution. CVPR 2019.
    Code: daitao/SAN.
    """
    body = NonLocalResidualGroup(groups, blocks, reduction=reduction, iterations=iterations, name="body")
    return _network(name or "san", body, scale, filters, input_shape, mean, train_mean_shift, weights)


def rnan(
    *,
    scale: int = 2,
    local_blocks: int = 8,
    filters: int = 64,
    softmax_axis: str = "query",
    input_shape: Sequence[int | None] = (None, None, 3),
    mean: Sequence[float] = DIV2K_MEAN,
    train_mean_shift: bool = True,
    weights: str | os.PathLike[str] | None = None,
    name: str | None = None,
) -> keras.Model:
    """RNAN: a non-local attention block, local ones, and a non-local one; 9,107,291 parameters at x2.

    At scale=1 it is the authors' network for denoising, demosaicking and compression artefacts (8,959,555 parameters):
    no mean shift, no upsampler, and the tail's output is added to the image.
    Memory grows as N^2 for N = height * width pixels of the small image: the authors cut larger ones into pieces.

    Args:
        scale: 1, 2, 3, 4 or another power of two.
        local_blocks: Local attention blocks between the two non-local ones.
        filters: Channels of all features.
        softmax_axis: Of the non-local blocks: "query" (the authors' code) or "key" (the paper).
        input_shape, mean, train_mean_shift, weights, name: As in `rcan`.

    Returns: As `rcan`.

    Paper: Zhang, Li, Li, Zhong, Fu. Residual Non-local Attention Networks for Image Restoration. ICLR 2019.
        arXiv:1903.10082
    Code: yulunzhang/RNAN.
    """

    def non_local(x: Any, where: str) -> Any:
        block = ResidualNonLocalAttentionBlock(softmax_axis=softmax_axis, name=f"non_local_{where}")
        return same_conv(filters, 3, name=f"non_local_{where}_conv")(block(x))

    def body(features: Any) -> Any:
        x = non_local(features, "low")
        for i in range(1, local_blocks + 1):
            x = ResidualLocalAttentionBlock(name=f"local{i}")(x)
            x = same_conv(filters, 3, name=f"local{i}_conv")(x)
        x = same_conv(filters, 3, name="body_conv")(x)
        x = non_local(x, "high")
        return x if scale == 1 else keras.layers.Add(name="long_skip")([x, features])

    name = name or "rnan"
    if scale == 1:
        return _restoration(name, body, filters, input_shape, weights)
    return _network(name, body, scale, filters, input_shape, mean, train_mean_shift, weights)


def _network(
    name: str,
    body: Callable[[Any], Any],
    scale: int,
    filters: int,
    input_shape: Sequence[int | None],
    mean: Sequence[float],
    train_mean_shift: bool,
    weights: Any,
) -> keras.Model:
    """The network around its body, alike for all three: mean shift, head, upsampler, tail, mean shift back."""
    image = _image(input_shape)
    channels = image.shape[-1]
    if len(mean) not in (1, channels):
        raise ValueError(f"mean must have one number, or one a channel: {channels}. Received: mean={tuple(mean)}")
    shift = [255.0 * m for m in mean] * (channels if len(mean) == 1 else 1)
    x = _mean_shift("subtract_mean", [-s for s in shift], train_mean_shift)(image)
    x = body(same_conv(filters, 3, name="head")(x))
    for i, factor in enumerate(_factors(scale), 1):
        x = same_conv(factor**2 * filters, 3, name=f"upsample{i}_conv")(x)
        x = ops.depth_to_space(x, factor, data_format="channels_last")
    x = same_conv(channels, 3, name="tail")(x)
    return _model(image, _mean_shift("predictions", shift, train_mean_shift, dtype="float32")(x), name, weights)


def _restoration(
    name: str, body: Callable[[Any], Any], filters: int, input_shape: Sequence[int | None], weights: Any
) -> keras.Model:
    """The network at scale 1: it learns what to add to the image."""
    image = _image(input_shape)
    x = body(same_conv(filters, 3, name="head")(image))
    x = same_conv(image.shape[-1], 3, name="tail")(x)
    return _model(image, keras.layers.Add(name="predictions", dtype="float32")([image, x]), name, weights)


def _image(input_shape: Sequence[int | None]) -> Any:
    if len(input_shape) != 3 or input_shape[-1] is None:
        raise ValueError(
            "input_shape must be (height, width, channels); height and width may be None. "
            f"Received: input_shape={tuple(input_shape)}"
        )
    check_shape(tuple(input_shape))
    check_order(tuple(input_shape))
    return keras.Input(tuple(input_shape), name="image")


def _factors(scale: int) -> list[int]:
    """The upsampler's steps: one of 3, or steps of 2."""
    if scale == 3:
        return [3]
    if scale < 2 or scale & (scale - 1):
        raise ValueError(f"scale must be 3 or a power of two from 2. Received: scale={scale}")
    return [2] * (scale.bit_length() - 1)


def _mean_shift(name: str, shift: list[float], trainable: bool, **kwargs: Any) -> keras.layers.Conv2D:
    """A 1x1 convolution that starts as the identity plus a shift, as the releases have it."""
    identity = [[float(row == column) for column in range(len(shift))] for row in range(len(shift))]
    return keras.layers.Conv2D(
        len(shift),
        1,
        kernel_initializer=keras.initializers.Constant(identity),
        bias_initializer=keras.initializers.Constant(shift),
        trainable=trainable,
        data_format="channels_last",
        name=name,
        **kwargs,
    )


def _model(image: Any, outputs: Any, name: str, weights: Any) -> keras.Model:
    model = keras.Model(image, outputs, name=name)
    remember(model, Stated(value_range=BYTES), ZOO)
    if weights is not None:
        load_weights(model, weights, name)
    return model
