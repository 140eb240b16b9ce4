"""Triplet attention: a gate over each pair of height, width and channels."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kattn.layers.pieces.norms import batch_norm
from kattn.layers.pieces.pooled_conv import conv_of_pooled
from kattn.layers.pieces.widths import feature_map_channels

# What a gate's map is pooled over, and the axis of x that it is then repeated along.
POOLED = {"cw": 1, "hc": 2, "hw": 3}


@keras.saving.register_keras_serializable("kattn")
class TripletAttention(keras.Layer):
    """The mean of three gated maps; each gate sees two of height, width and channels.

    gate(p) = sigmoid(BN(conv([max of x over p, mean of x over p])))
    y = x * (gate(height) + gate(width) + gate(channels)) / 3

    The first gate is (width, channels), the second (height, channels), the third (height, width); each convolution goes
    along both sides of its map, with zeros beyond them, also where a side is the channels.

    Args:
        kernel_size: Of the three convolutions; odd.
        spatial: False leaves the gate over height and width out, and halves the sum (the code's `no_spatial`).
        return_attention: Also return the mean of the gates, (batch, height, width, channels).

    As in the authors' networks the scale of the third gate's normalisation starts at 0: that gate starts at 0.5.

    Shapes: (batch, height, width, channels) in and out; 3 (2 kernel_size**2 + 2) parameters.
    Raises: ValueError for an even or non-positive kernel size, or an input that is no feature map.
    Paper: Misra, Nalamada, Arasanipalai, Hou. Rotate to Attend: Convolutional Triplet Attention Module. WACV 2021.
        arXiv:2010.03045
    Code: landskape-ai/triplet-attention
    """

    def __init__(
        self, kernel_size: int = 7, spatial: bool = True, return_attention: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be a positive odd number. Received: kernel_size={kernel_size}")
        self.kernel_size = kernel_size
        self.spatial = spatial
        self.return_attention = return_attention

    def build(self, input_shape: Any) -> None:
        """Create a convolution and a normalisation for each gate."""
        feature_map_channels(self, input_shape)
        self.convs, self.norms = {}, {}
        for name in POOLED if self.spatial else ("cw", "hc"):
            self.convs[name] = keras.layers.Conv2D(
                1,
                self.kernel_size,
                padding="same",
                use_bias=False,
                data_format="channels_last",
                dtype=self.dtype_policy,
                name=f"{name}_conv",
            )
            self.convs[name].build((None, None, None, 2))
            self.norms[name] = batch_norm(
                momentum=0.99,
                gamma_initializer="zeros" if name == "hw" else "ones",
                dtype=self.dtype_policy,
                name=f"{name}_norm",
            )
            self.norms[name].build((None, None, None, 1))

    def call(self, x: Any, training: bool | None = None) -> Any:
        """Gate x in three ways, and take the mean."""
        gates = []
        for name, conv in self.convs.items():
            axis = POOLED[name]
            pooled = [ops.expand_dims(pool(x, axis=axis), -1) for pool in (ops.max, ops.mean)]
            gate = ops.sigmoid(conv_of_pooled(pooled, conv, self.norms[name], training))
            gates.append(ops.expand_dims(ops.squeeze(gate, -1), axis))
        gate = sum(gates[1:], start=gates[0]) / len(gates)
        return (x * gate, gate) if self.return_attention else x * gate

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape, twice where the gate is returned."""
        return (tuple(input_shape), tuple(input_shape)) if self.return_attention else input_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "kernel_size": self.kernel_size,
            "spatial": self.spatial,
            "return_attention": self.return_attention,
        }
