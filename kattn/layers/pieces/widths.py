"""Widths of maps: the channels of an input, the hidden width of a bottleneck."""

from __future__ import annotations

from typing import Any

import keras


def hidden_width(channels: int, reduction: int) -> int:
    """Width of a bottleneck: channels // reduction, at least 1, with no rounding to multiples of eight."""
    if reduction < 1:
        raise ValueError(f"reduction must be an integer of at least 1. Received: reduction={reduction}")
    return max(1, channels // reduction)


def feature_map_channels(layer: keras.Layer, shape: Any) -> int:
    """Channels of a (batch, height, width, channels) shape, or an error that says what came.

    Every layer of a feature map asks here when it is built, so that none takes the width for the channels in silence.
    """
    if keras.config.image_data_format() == "channels_first":
        raise ValueError(
            f"{type(layer).__name__} takes channels-last maps, (batch, height, width, channels). Received: "
            'keras.config.image_data_format() = "channels_first". Set keras.config.set_image_data_format('
            '"channels_last") before the model is built.'
        )
    if len(shape) != 4 or shape[-1] is None:
        raise ValueError(
            f"{type(layer).__name__} takes a (batch, height, width, channels) map with a known number of channels. "
            f"Received: shape {tuple(shape)}"
        )
    return int(shape[-1])
