"""RCAN: residual channel attention blocks and groups. Its channel attention alone is a SqueezeExcite."""

from __future__ import annotations

from typing import Any

import keras

from kattn.layers.pieces.residual_block import ResidualBlock, same_conv
from kattn.layers.pieces.widths import checked_reduction, feature_map_channels
from kattn.layers.squeeze_excite import SqueezeExcite


@keras.saving.register_keras_serializable("kattn")
class ResidualChannelAttentionBlock(ResidualBlock):
    """RCAB: a residual block whose branch ends with a channel gate.

    y = x + residual_scale * CA(conv(relu(conv(x))))
    CA(t) = t * sigmoid(W2 relu(W1 mean(t) + b1) + b2), a SqueezeExcite

    Args:
        kernel_size, use_bias, batch_norm: As in ResidualBlock; the gate's convolutions keep their biases.
        residual_scale: Factor of the branch. The authors' code takes one and ignores it (1, the default); the option
            is what they left out.
        reduction: Hidden width of the gate is channels // reduction, at least 1.

    Shapes: (batch, height, width, channels) in and out. Memory is linear in N = H * W: there is no map of positions.
    Raises: ValueError for an even kernel size, a reduction below 1, or an input that is no feature map.
    Paper: Zhang, Li, Li, Wang, Zhong, Fu. Image Super-Resolution Using Very Deep Residual Channel Attention Networks.
        ECCV 2018. arXiv:1807.02758
    Code: yulunzhang/RCAN.
    """

    def __init__(self, kernel_size: int = 3, reduction: int = 16, **kwargs: Any) -> None:
        super().__init__(kernel_size=kernel_size, **kwargs)
        self.reduction = checked_reduction(reduction)

    def build(self, input_shape: Any) -> None:
        """Create the convolutions and the gate."""
        super().build(input_shape)
        self.gate = SqueezeExcite(self.reduction, name="gate", dtype=self.dtype_policy)
        self.gate.build(input_shape)

    def branch(self, x: Any, training: bool | None) -> Any:
        """Convolutions, then the gate."""
        return self.gate(super().branch(x, training))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "reduction": self.reduction}


@keras.saving.register_keras_serializable("kattn")
class ResidualChannelAttentionGroup(keras.Layer):
    """RCAN's residual group: blocks in a row, a convolution, and the way around all of them.

    y = x + conv(RCAB(... RCAB(x)))

    Args:
        blocks: Number of RCABs.
        kernel_size: Of all spatial convolutions, odd.
        reduction: Of the gates.
        use_bias: Biases of the spatial convolutions.
        batch_norm, residual_scale: Of the blocks; the authors use neither.

    Shapes: (batch, height, width, channels) in and out. Memory is linear in N = H * W.
    Raises: ValueError for an even kernel size, a reduction below 1, or an input that is no feature map.
    Paper: Zhang, Li, Li, Wang, Zhong, Fu. Image Super-Resolution Using Very Deep Residual Channel Attention Networks.
        ECCV 2018. arXiv:1807.02758
    Code: yulunzhang/RCAN.
    """

    def __init__(
        self,
        blocks: int = 20,
        kernel_size: int = 3,
        reduction: int = 16,
        use_bias: bool = True,
        batch_norm: bool = False,
        residual_scale: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.blocks = blocks
        self.kernel_size = kernel_size
        self.reduction = checked_reduction(reduction)
        self.use_bias = use_bias
        self.batch_norm = batch_norm
        self.residual_scale = residual_scale

    def build(self, input_shape: Any) -> None:
        """Create the blocks and the last convolution."""
        channels = feature_map_channels(self, input_shape)
        self.body = [
            ResidualChannelAttentionBlock(
                kernel_size=self.kernel_size,
                reduction=self.reduction,
                use_bias=self.use_bias,
                batch_norm=self.batch_norm,
                residual_scale=self.residual_scale,
                name=f"block{i}",
                dtype=self.dtype_policy,
            )
            for i in range(self.blocks)
        ]
        self.conv = same_conv(channels, self.kernel_size, use_bias=self.use_bias, name="conv", dtype=self.dtype_policy)
        for layer in (*self.body, self.conv):
            layer.build(input_shape)

    def call(self, x: Any, training: bool | None = None) -> Any:
        """Add what blocks and convolution make of x."""
        y = x
        for block in self.body:
            y = block(y, training=training)
        return x + self.conv(y)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "blocks": self.blocks,
            "kernel_size": self.kernel_size,
            "reduction": self.reduction,
            "use_bias": self.use_bias,
            "batch_norm": self.batch_norm,
            "residual_scale": self.residual_scale,
        }
