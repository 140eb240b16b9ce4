"""SimAM: a gate without parameters."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kattn.layers.pieces.statistics import centred, in_full, variance
from kattn.layers.pieces.widths import feature_map_channels


@keras.saving.register_keras_serializable("kattn")
class SimAM(keras.Layer):
    """Gate of each channel and position by its distance from the channel's mean; without parameters.

    d = (x - mean of x over height and width)^2
    v = sum of d over height and width / (N - 1), of N positions
    y = x * sigmoid(d / (4 (v + e_lambda)) + 1/2)

    The gate is at least sigmoid(1/2) = 0.62. The statistics are those of float32 also in half precision.

    Args:
        e_lambda: Added to the variance. 1e-4 in the authors' module; their ImageNet networks train with 0.1.
        return_attention: Also return the gate, (batch, height, width, channels).

    Shapes: (batch, height, width, channels) in and out. On a map of one position, where the authors' code gives no
        number, N - 1 is taken as 1, and the gate is sigmoid(1/2).
    Raises: ValueError for an e_lambda of 0 or below, or an input that is no feature map.
    Paper: Yang, Zhang, Li, Xie. SimAM: A Simple, Parameter-Free Attention Module for Convolutional Neural Networks.
        ICML 2021
    Code: ZjjConan/SimAM
    """

    def __init__(self, e_lambda: float = 1e-4, return_attention: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if e_lambda <= 0:
            raise ValueError(f"e_lambda must be above 0. Received: e_lambda={e_lambda}")
        self.e_lambda = e_lambda
        self.return_attention = return_attention

    def build(self, input_shape: Any) -> None:
        """Check the input."""
        feature_map_channels(self, input_shape)

    def call(self, x: Any) -> Any:
        """Gate every entry of x."""
        _, difference = centred(in_full(x))
        spread = 4 * (variance(difference, unbiased=True) + self.e_lambda)
        # The squares of large differences leave float32 before they are divided; those of the quotients do not.
        scaled = difference * ops.rsqrt(spread)
        gate = ops.cast(ops.sigmoid(scaled * scaled + 0.5), x.dtype)
        return (x * gate, gate) if self.return_attention else x * gate

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape, twice where the gate is returned."""
        return (tuple(input_shape), tuple(input_shape)) if self.return_attention else input_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "e_lambda": self.e_lambda, "return_attention": self.return_attention}
