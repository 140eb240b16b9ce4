"""GCT: gated channel transformation."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kattn.layers.pieces.statistics import POSITIONS, in_full
from kattn.layers.pieces.widths import feature_map_channels

MODES = ("l2", "l1")


@keras.saving.register_keras_serializable("kattn")
class GatedChannelTransformation(keras.Layer):
    """Channel gate from the norms of all channels, with three parameters a channel.

    e = alpha * sqrt(sum of x^2 over height and width + epsilon)
    n = gamma * e / sqrt(mean of e^2 over the channels + epsilon)
    y = x * (1 + tanh(n + beta))

    With mode="l1": e = alpha * sum of |x|, n = gamma * e / (mean of |e| over the channels + epsilon).

    gamma and beta start at 0: at first y = x. The authors keep beta out of the weight decay. The norms are those of
    float32 also in half precision.

    Args:
        mode: "l2" or "l1".
        epsilon: See the equations.
        after_relu: With "l1": the map is nowhere negative, so no absolute value is taken of it.
        return_attention: Also return the gate, (batch, 1, 1, channels), of values between 0 and 2.

    Shapes: (batch, height, width, channels) in and out; 3 * channels parameters.
    Raises: ValueError for an unknown mode, an epsilon of 0 or below, or an input that is no feature map.
    Paper: Yang, Zhu, Wu, Yang. Gated Channel Transformation for Visual Recognition. CVPR 2020. arXiv:1909.11519
    Code: z-x-yang/GCT
    """

    def __init__(
        self,
        mode: str = "l2",
        epsilon: float = 1e-5,
        after_relu: bool = False,
        return_attention: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)}. Received: mode={mode!r}")
        if epsilon <= 0:
            raise ValueError(f"epsilon must be above 0. Received: epsilon={epsilon}")
        self.mode = mode
        self.epsilon = epsilon
        self.after_relu = after_relu
        self.return_attention = return_attention

    def build(self, input_shape: Any) -> None:
        """Create the three vectors."""
        shape = (feature_map_channels(self, input_shape),)
        self.alpha = self.add_weight(shape=shape, initializer="ones", name="alpha")
        self.gamma = self.add_weight(shape=shape, initializer="zeros", name="gamma")
        self.beta = self.add_weight(shape=shape, initializer="zeros", name="beta")

    def call(self, x: Any) -> Any:
        """Gate every channel of x."""
        full = in_full(x)
        alpha, gamma, beta = (ops.cast(weight, full.dtype) for weight in (self.alpha, self.gamma, self.beta))
        if self.mode == "l2":
            embedding = alpha * ops.sqrt(ops.sum(full * full, axis=POSITIONS, keepdims=True) + self.epsilon)
            norm = ops.sqrt(ops.mean(embedding * embedding, axis=-1, keepdims=True) + self.epsilon)
        else:
            embedding = alpha * ops.sum(full if self.after_relu else ops.abs(full), axis=POSITIONS, keepdims=True)
            norm = ops.mean(ops.abs(embedding), axis=-1, keepdims=True) + self.epsilon
        gate = ops.cast(1 + ops.tanh(gamma * embedding / norm + beta), x.dtype)
        return (x * gate, gate) if self.return_attention else x * gate

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape, and the gate's where it is returned."""
        gate_shape = (input_shape[0], 1, 1, input_shape[-1])
        return (tuple(input_shape), gate_shape) if self.return_attention else input_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "mode": self.mode,
            "epsilon": self.epsilon,
            "after_relu": self.after_relu,
            "return_attention": self.return_attention,
        }
