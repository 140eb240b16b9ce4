"""Shuffle attention: half of each group's channels gated as channels, half by position."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from kattn.layers.pieces.channel_shuffle import ChannelShuffle
from kattn.layers.pieces.statistics import centred, in_full, variance
from kattn.layers.pieces.widths import feature_map_channels

EPSILON = 1e-5


@keras.saving.register_keras_serializable("kattn")
class ShuffleAttention(keras.Layer):
    """Channels in groups; the first half of each has channel gates, the second gates of positions.

    y1 = x1 * sigmoid(w1 * mean of x1 over height and width + b1)
    y2 = x2 * sigmoid(w2 * (scale * (x2 - mean of x2) / deviation of x2 + shift) + b2)
    y = shuffle([y1, y2] of every group)

    The vectors are as long as half a group, and all groups share them. Channel i of the tensor's half j comes to place
    2 i + j, so the output's channels are in another order than the input's: it is made to stand before a sum whose
    other side is not shuffled. w1 and w2 start at 0, b1 and b2 at 1: every gate starts at sigmoid(1) = 0.73.

    Args:
        groups: How many groups, at most. Where the channels are no multiple of 2 * groups, it is the greatest common
            divisor of `groups` and half the channels: 32 at 64 channels, where the authors name 32 or 16.
        return_attention: Also return the gates, (batch, height, width, channels), in the order of x.

    Shapes: (batch, height, width, channels) in and out; 3 * channels / groups parameters.
    Raises: ValueError for groups below 1, an odd number of channels, or an input that is no feature map.
    Paper: Zhang, Yang. SA-Net: Shuffle Attention for Deep Convolutional Neural Networks. ICASSP 2021. arXiv:2102.00240
    Code: wofmanaf/SA-Net
    """

    def __init__(self, groups: int = 64, return_attention: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if groups < 1:
            raise ValueError(f"groups must be at least 1. Received: groups={groups}")
        self.groups = groups
        self.return_attention = return_attention

    def build(self, input_shape: Any) -> None:
        """Create the six vectors and the shuffle."""
        channels = feature_map_channels(self, input_shape)
        if channels % 2:
            raise ValueError(f"ShuffleAttention halves the channels. Received: an odd number, {channels}")
        self.used_groups = math.gcd(self.groups, channels // 2)
        shape = (channels // 2 // self.used_groups,)
        starts = {
            "channel_weight": "zeros",
            "channel_bias": "ones",
            "position_weight": "zeros",
            "position_bias": "ones",
            "scale": "ones",
            "shift": "zeros",
        }
        for name, start in starts.items():
            setattr(self, name, self.add_weight(shape=shape, initializer=start, name=name))
        self.shuffle = ChannelShuffle(2, dtype=self.dtype_policy, name="shuffle")
        self.shuffle.build(input_shape)

    def call(self, x: Any) -> Any:
        """Gate x and shuffle its channels."""
        mean, difference = centred(in_full(x))
        normalised = difference * ops.rsqrt(variance(difference) + EPSILON)
        of_mean = self._of_all(self.channel_weight + 0, 0 * self.channel_weight)
        of_position = self._of_all(0 * self.position_weight, self.position_weight * self.scale)
        bias = self._of_all(self.channel_bias + 0, self.position_weight * self.shift + self.position_bias)
        # One sigmoid for both halves: nothing is cut and joined.
        gate = ops.cast(ops.sigmoid(normalised * of_position + (mean * of_mean + bias)), x.dtype)
        y = self.shuffle(x * gate)
        return (y, gate) if self.return_attention else y

    def _of_all(self, first: Any, second: Any) -> Any:
        """A vector of all channels, from those of the two halves of every group."""
        return in_full(ops.tile(ops.concatenate([first, second], axis=0), self.used_groups))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape, twice where the gates are returned."""
        return (tuple(input_shape), tuple(input_shape)) if self.return_attention else input_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "groups": self.groups, "return_attention": self.return_attention}
