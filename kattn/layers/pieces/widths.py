"""Widths of maps: the channels of an input, the hidden width of a bottleneck."""

from __future__ import annotations

import numbers
from typing import Any

import keras


def checked_reduction(reduction: Any, name: str = "reduction") -> int:
    """By what a width is divided, as every layer checks it when it is made.

    Raises: ValueError for anything but an integer of at least 1, with what was meant.
    """
    value = float(reduction) if isinstance(reduction, numbers.Real) and not isinstance(reduction, bool) else 0.0
    if isinstance(reduction, numbers.Integral) and value >= 1:
        return int(reduction)
    meant = f"{name}=1 keeps the width"
    if 1e-6 < value < 1e6:
        divisor = round(value if value >= 1 else 1 / value)
        meant = f"for {f'a ratio of {value:.4g}' if value < 1 else reduction} write {name}={divisor}"
    raise ValueError(
        f"{name} must be an integer of at least 1, by which the channels are divided; {meant}. "
        f"Received: {name}={reduction!r}"
    )


def hidden_width(channels: int, reduction: int, divisor: int | None = None) -> int:
    """Width of a bottleneck: channels // reduction, at least 1.

    With a divisor channels / reduction is rounded to its nearest multiple, at least one, as timm's `make_divisible`
    does: 4 of 64 channels / 16 become 8.
    """
    if divisor is None:
        return max(1, channels // checked_reduction(reduction))
    return max(1, int(channels / checked_reduction(reduction) + divisor / 2) // divisor) * divisor


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
