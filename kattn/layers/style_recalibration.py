"""SRM: style-based recalibration."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kattn.layers.pieces.norms import batch_norm
from kattn.layers.pieces.statistics import centred, in_full, variance
from kattn.layers.pieces.widths import feature_map_channels

EPSILON = 1e-5  # of the deviation, inside the root


@keras.saving.register_keras_serializable("kattn")
class StyleRecalibration(keras.Layer):
    """Channel gate from each channel's own mean and standard deviation.

    mu, v = mean and unbiased variance of x over height and width
    z = w1 * mu + w2 * sqrt(v + 1e-5), a weight each a channel
    y = x * sigmoid(BN(z))

    The weights start at 0, so every gate starts at 0.5. The statistics of x are those of float32 also in half
    precision; those of BN in training are over the batch alone, which should hold several images.

    Args:
        return_attention: Also return the gate, (batch, 1, 1, channels).

    Shapes: (batch, height, width, channels) in and out; 4 * channels parameters. The deviation of a map of one
        position, where the authors' code gives no number, is sqrt(1e-5).
    Raises: ValueError for an input that is no feature map.
    Paper: Lee, Kim, Nam. SRM: A Style-based Recalibration Module for Convolutional Neural Networks. ICCV 2019.
        arXiv:1903.10829
    Code: hyunjaelee410/style-based-recalibration-module
    """

    def __init__(self, return_attention: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.return_attention = return_attention

    def build(self, input_shape: Any) -> None:
        """Create the weights of both statistics and the normalisation."""
        channels = feature_map_channels(self, input_shape)
        self.mean_weight = self.add_weight(shape=(channels,), initializer="zeros", name="mean_weight")
        self.deviation_weight = self.add_weight(shape=(channels,), initializer="zeros", name="deviation_weight")
        self.norm = batch_norm(dtype=self.dtype_policy, name="norm")
        self.norm.build((None, 1, 1, channels))

    def call(self, x: Any, training: bool | None = None) -> Any:
        """Gate every channel of x."""
        mean, difference = centred(in_full(x))
        deviation = ops.sqrt(variance(difference, unbiased=True) + EPSILON)
        weights = (ops.cast(weight, mean.dtype) for weight in (self.mean_weight, self.deviation_weight))
        style = sum(weight * part for weight, part in zip(weights, (mean, deviation), strict=True))
        gate = ops.sigmoid(self.norm(ops.cast(style, x.dtype), training=training))
        return (x * gate, gate) if self.return_attention else x * gate

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape, and the gate's where it is returned."""
        gate_shape = (input_shape[0], 1, 1, input_shape[-1])
        return (tuple(input_shape), gate_shape) if self.return_attention else input_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "return_attention": self.return_attention}
