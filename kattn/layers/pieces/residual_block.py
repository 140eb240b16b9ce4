"""The residual block of the restoration networks: two convolutions, no normalisation."""

from __future__ import annotations

from typing import Any

import keras

from kattn.layers.pieces.norms import batch_norm
from kattn.layers.pieces.widths import feature_map_channels


def same_conv(filters: int, kernel_size: int, **kwargs: Any) -> keras.layers.Conv2D:
    """A convolution that keeps height and width; at stride 1 and odd size Keras's padding is the references'."""
    return keras.layers.Conv2D(filters, kernel_size, padding="same", data_format="channels_last", **kwargs)


@keras.saving.register_keras_serializable("kattn")
class ResidualBlock(keras.Layer):
    """Two convolutions and the way around them, as in EDSR.

    y = x + residual_scale * conv(relu(conv(x)))

    Args:
        kernel_size: Of both convolutions, odd.
        use_bias: Their biases.
        batch_norm: Batch normalisation after each; the references leave it out.
        residual_scale: Factor of the branch.

    Shapes: (batch, height, width, channels) in and out.
    Raises: ValueError for an even kernel size or an input that is no feature map.
    Paper: Lim, Son, Kim, Nah, Lee. Enhanced Deep Residual Networks for Single Image Super-Resolution. CVPRW 2017.
        arXiv:1707.02921
    """

    def __init__(
        self,
        kernel_size: int = 3,
        use_bias: bool = True,
        batch_norm: bool = False,
        residual_scale: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd to keep the map's size. Received: kernel_size={kernel_size}")
        self.kernel_size = kernel_size
        self.use_bias = use_bias
        self.batch_norm = batch_norm
        self.residual_scale = residual_scale

    def build(self, input_shape: Any) -> None:
        """Create the convolutions."""
        channels = feature_map_channels(self, input_shape)
        common: dict[str, Any] = {"use_bias": self.use_bias, "dtype": self.dtype_policy}
        self.conv1 = same_conv(channels, self.kernel_size, name="conv1", **common)
        self.conv2 = same_conv(channels, self.kernel_size, name="conv2", **common)
        self.conv1.build(input_shape)
        self.conv2.build(input_shape)
        if self.batch_norm:
            self.norm1 = batch_norm(name="norm1", dtype=self.dtype_policy)
            self.norm2 = batch_norm(name="norm2", dtype=self.dtype_policy)
            self.norm1.build(input_shape)
            self.norm2.build(input_shape)

    def call(self, x: Any, training: bool | None = None) -> Any:
        """Add the branch."""
        return x + self.residual_scale * self.branch(x, training)

    def branch(self, x: Any, training: bool | None) -> Any:
        """What is added to x."""
        y = self.conv1(x)
        y = keras.ops.relu(self.norm1(y, training=training) if self.batch_norm else y)
        y = self.conv2(y)
        return self.norm2(y, training=training) if self.batch_norm else y

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "kernel_size": self.kernel_size,
            "use_bias": self.use_bias,
            "batch_norm": self.batch_norm,
            "residual_scale": self.residual_scale,
        }
