"""ECA: efficient channel attention."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from kattn.layers.pieces.widths import feature_map_channels


def adaptive_kernel_size(channels: int, gamma: float = 2, b: float = 1) -> int:
    """The paper's kernel size: t = int(|log2(channels) + b| / gamma), raised to the next odd number; at least 1."""
    size = int(abs(math.log2(channels) + b) / gamma)
    return size if size % 2 else size + 1


@keras.saving.register_keras_serializable("kattn")
class EfficientChannelAttention(keras.Layer):
    """Channel gate from a short convolution along the channels.

    z = mean of x over height and width
    y = x * sigmoid(conv1d(z)), one kernel for all channels, zeros beyond the first and the last channel or, with
        `circular`, the channels at the other end

    Args:
        kernel_size: Odd width of the kernel; None takes the paper's rule int(|log2 C + b| / gamma), made odd:
            3 for 16 to 96 channels, 5 for 128 to 1024, 7 for 2048.
        gamma: Divisor of the rule, above 0.
        b: Offset of the rule.
        use_bias: Whether the convolution has a bias; the authors' has none.
        return_attention: Also return the gate, (batch, 1, 1, channels).
        circular: Close the channels to a ring, as timm's `CecaModule` does; the rule's size is then at least 3.

    Shapes: (batch, height, width, channels) in and out; `kernel_size` parameters.
    Raises: ValueError for an even or non-positive kernel size, a gamma of 0 or below, a kernel that goes round the ring
        twice (above 2 * channels + 1), or an input that is no feature map.
    Paper: Wang, Wu, Zhu, Li, Zuo, Hu. ECA-Net: Efficient Channel Attention for Deep Convolutional Neural Networks.
        CVPR 2020. arXiv:1910.03151
    Code: BangguWu/ECANet, whose layer takes the size as an argument (3 unless told). The published 80 parameters for
        ResNet-50 are sizes 3, 5, 5, 7 by stage, where the rule, the default here, gives 5, 5, 5, 7; its MobileNetV2
        uses 1 below 96 channels and 3 above.
    """

    def __init__(
        self,
        kernel_size: int | None = None,
        gamma: float = 2,
        b: float = 1,
        use_bias: bool = False,
        return_attention: bool = False,
        circular: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if kernel_size is not None and (kernel_size < 1 or kernel_size % 2 == 0):
            raise ValueError(f"kernel_size must be a positive odd number or None. Received: kernel_size={kernel_size}")
        if gamma <= 0:
            raise ValueError(f"gamma must be above 0. Received: gamma={gamma}")
        self.kernel_size = kernel_size
        self.gamma = gamma
        self.b = b
        self.use_bias = use_bias
        self.return_attention = return_attention
        self.circular = circular

    def build(self, input_shape: Any) -> None:
        """Create the convolution along the channels."""
        channels = feature_map_channels(self, input_shape)
        size = self.kernel_size or max(adaptive_kernel_size(channels, self.gamma, self.b), 3 if self.circular else 1)
        self.wrapped = size // 2 if self.circular else 0
        if self.wrapped > channels:
            raise ValueError(
                f"A circular kernel must not be wider than 2 * channels + 1. Received: kernel_size={size}, "
                f"channels={channels}"
            )
        self.conv = keras.layers.Conv2D(
            1,
            (1, size),
            padding="valid" if self.circular else "same",
            use_bias=self.use_bias,
            activation="sigmoid",
            data_format="channels_last",
            dtype=self.dtype_policy,
            name="conv",
        )
        self.conv.build((None, 1, channels + 2 * self.wrapped, 1))

    def call(self, x: Any) -> Any:
        """Gate every channel of x."""
        channels = x.shape[-1]
        squeezed = ops.mean(x, axis=(1, 2), keepdims=True)
        # The channels lie along the width of a one-channel map: a 1-D convolution that stays of rank 4.
        row = ops.reshape(squeezed, (-1, 1, channels, 1))
        if self.wrapped:
            row = ops.concatenate([row[:, :, -self.wrapped :], row, row[:, :, : self.wrapped]], axis=2)
        gate = ops.reshape(self.conv(row), (-1, 1, 1, channels))
        return (x * gate, gate) if self.return_attention else x * gate

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape, and the gate's where it is returned."""
        gate_shape = (input_shape[0], 1, 1, input_shape[-1])
        return (tuple(input_shape), gate_shape) if self.return_attention else input_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "kernel_size": self.kernel_size,
            "gamma": self.gamma,
            "b": self.b,
            "use_bias": self.use_bias,
            "return_attention": self.return_attention,
            "circular": self.circular,
        }
