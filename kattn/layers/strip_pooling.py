"""SPM: strip pooling, a gate from the means of whole rows and whole columns."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kattn.layers.pieces.norms import batch_norm
from kattn.layers.pieces.pointwise import pointwise
from kattn.layers.pieces.widths import feature_map_channels


@keras.saving.register_keras_serializable("kattn")
class StripPooling(keras.Layer):
    """A gate for every channel and position from the means of its row and of its column.

    a = BN(conv 3x1 (mean of x over the width)), a value a row;   b = BN(conv 1x3 (mean of x over the height))
    y = x * sigmoid(W relu(a + b) + bias)

    Args:
        kernel_size: Odd length of the two strip convolutions, along the height and along the width.
        return_attention: Also return the gate, (batch, height, width, channels).

    Shapes: (batch, height, width, channels) in and out.
    Raises: ValueError for an even or non-positive kernel, or an input that is no feature map.
    Paper: Hou, Zhang, Cheng, Feng. Strip Pooling: Rethinking Spatial Pooling for Scene Parsing. CVPR 2020.
        arXiv:2003.13328
    Code: Andrew-Qibin/SPNet (the SPM)
    """

    def __init__(self, kernel_size: int = 3, return_attention: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be a positive odd number. Received: kernel_size={kernel_size}")
        self.kernel_size = kernel_size
        self.return_attention = return_attention

    def build(self, input_shape: Any) -> None:
        """Create the strips' convolutions with their normalisations, and the convolution of their sum."""
        channels = feature_map_channels(self, input_shape)
        self.convs, self.norms = [], []
        for name, kernel in (("rows", (self.kernel_size, 1)), ("columns", (1, self.kernel_size))):
            conv = keras.layers.Conv2D(
                channels,
                kernel,
                padding="same",
                use_bias=False,
                kernel_initializer="he_normal",
                data_format="channels_last",
                name=name,
                dtype=self.dtype_policy,
            )
            conv.build(input_shape)
            norm = batch_norm(name=f"{name}_bn", dtype=self.dtype_policy)
            norm.build(input_shape)
            self.convs.append(conv)
            self.norms.append(norm)
        self.out = pointwise(channels, name="out", dtype=self.dtype_policy)
        self.out.build(input_shape)

    def call(self, x: Any, training: bool | None = None) -> Any:
        """Gate every value of x by its row and its column."""
        means = (ops.mean(x, axis=2, keepdims=True), ops.mean(x, axis=1, keepdims=True))
        rows, columns = (
            norm(conv(mean), training=training) for mean, conv, norm in zip(means, self.convs, self.norms, strict=True)
        )
        gate = ops.sigmoid(self.out(ops.relu(rows + columns)))
        return (x * gate, gate) if self.return_attention else x * gate

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape, and the gate's, the same, where it is returned."""
        return (tuple(input_shape), tuple(input_shape)) if self.return_attention else input_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "kernel_size": self.kernel_size, "return_attention": self.return_attention}
