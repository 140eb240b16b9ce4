"""Convolution, batch normalisation and (leaky) ReLU as one layer: the unit the segmentation heads are made of."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kattn.layers.pieces.norms import batch_norm
from kattn.layers.pieces.widths import feature_map_channels

ABN_SLOPE = 0.01  # of the leaky ReLU in the references' in-place activated batch normalisation


@keras.saving.register_keras_serializable("kattn")
class ConvNormActivation(keras.Layer):
    """y = leaky_relu(BN(conv(x))), at stride 1, the size kept.

    Args:
        filters: Output channels.
        kernel_size: Odd side of the kernel.
        dilation: Spacing of the kernel's taps.
        negative_slope: 0 for a ReLU, 0.01 for the references' in-place activated batch normalisation (whose kernel
            takes the scale as |gamma| + 1e-5: convert such weights).
        use_bias: Bias of the convolution, redundant before the normalisation; some references have it.

    Shapes: (batch, height, width, channels) to (batch, height, width, filters).
    Raises: ValueError for an input that is no feature map.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int = 1,
        dilation: int = 1,
        negative_slope: float = 0.0,
        use_bias: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.negative_slope = negative_slope
        self.use_bias = use_bias

    def build(self, input_shape: Any) -> None:
        """Create the convolution and its normalisation."""
        feature_map_channels(self, input_shape)
        self.conv = keras.layers.Conv2D(
            self.filters,
            self.kernel_size,
            padding="same",
            dilation_rate=self.dilation,
            use_bias=self.use_bias,
            data_format="channels_last",
            name="conv",
            dtype=self.dtype_policy,
        )
        self.conv.build(input_shape)
        self.norm = batch_norm(name="norm", dtype=self.dtype_policy)
        self.norm.build((*input_shape[:-1], self.filters))

    def call(self, x: Any, training: bool | None = None) -> Any:
        """Convolve, normalise, activate."""
        y = self.norm(self.conv(x), training=training)
        return ops.leaky_relu(y, self.negative_slope) if self.negative_slope else ops.relu(y)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape with the new number of channels."""
        return (*input_shape[:-1], self.filters)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "dilation": self.dilation,
            "negative_slope": self.negative_slope,
            "use_bias": self.use_bias,
        }
