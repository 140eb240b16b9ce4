"""What several mechanisms share: the hidden width, a 1x1 convolution and the references' batch normalisation."""

from __future__ import annotations

from typing import Any

import keras

from kattn.layers.pieces.batch_norm import BatchNormalization
from kattn.layers.pieces.pointwise_conv import PointwiseConv2D

BN_EPSILON = 1e-5  # every reference implementation's; Keras's own default is 1e-3
BN_MOMENTUM = 0.9  # weight of the old statistics: torch's 0.1 on the new ones


def hidden_width(channels: int, reduction: int) -> int:
    """Width of a bottleneck: channels // reduction, at least 1, with no rounding to multiples of eight."""
    if reduction < 1:
        raise ValueError(f"reduction must be an integer of at least 1. Received: reduction={reduction}")
    return max(1, channels // reduction)


def pointwise(filters: int, **kwargs: Any) -> PointwiseConv2D:
    """A 1x1 convolution; on a pooled (batch, 1, 1, channels) map it is a dense layer that exports cleanly."""
    return PointwiseConv2D(filters, 1, data_format="channels_last", **kwargs)


def batch_norm(**kwargs: Any) -> BatchNormalization:
    """Batch normalisation over the last axis with the references' epsilon and momentum."""
    return BatchNormalization(**{"epsilon": BN_EPSILON, "momentum": BN_MOMENTUM} | kwargs)


def feature_map_channels(layer: keras.Layer, shape: Any) -> int:
    """Channels of a (batch, height, width, channels) shape, or an error that says what came."""
    if len(shape) != 4 or shape[-1] is None:
        raise ValueError(
            f"{type(layer).__name__} takes a (batch, height, width, channels) map with a known number of channels. "
            f"Received: shape {tuple(shape)}"
        )
    return int(shape[-1])
