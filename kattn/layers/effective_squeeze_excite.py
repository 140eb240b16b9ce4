"""eSE: effective squeeze and excitation."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kattn.layers.pieces.pointwise import pointwise
from kattn.layers.pieces.widths import feature_map_channels

GATES = ("hard_sigmoid", "sigmoid")


@keras.saving.register_keras_serializable("kattn")
class EffectiveSqueezeExcite(keras.Layer):
    """Channel gate by one layer as wide as the map: squeeze and excitation that loses nothing in a narrow middle.

    z = mean of x over height and width
    y = x * hard_sigmoid(W z + b), hard_sigmoid(a) = min(max(a + 3, 0), 6) / 6

    Args:
        gate: "hard_sigmoid" as in the authors' code, whose gate is 0 or 1 and has no gradient beyond -3 and 3, or
            "sigmoid" as in the paper.
        use_bias: Bias of the layer.
        return_attention: Also return the gate, (batch, 1, 1, channels).

    Shapes: (batch, height, width, channels) in and out; channels**2 + channels parameters.
    Raises: ValueError for an unknown gate, or an input that is no feature map.
    Paper: Lee, Park. CenterMask: Real-Time Anchor-Free Instance Segmentation. CVPR 2020. arXiv:1911.06667
    Code: youngwanLEE/vovnet-detectron2
    """

    def __init__(
        self, gate: str = "hard_sigmoid", use_bias: bool = True, return_attention: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if gate not in GATES:
            raise ValueError(f"gate must be one of {', '.join(GATES)}. Received: gate={gate!r}")
        self.gate = gate
        self.use_bias = use_bias
        self.return_attention = return_attention

    def build(self, input_shape: Any) -> None:
        """Create the layer for the input's channels."""
        channels = feature_map_channels(self, input_shape)
        self.expand = pointwise(
            channels, activation=self.gate, use_bias=self.use_bias, dtype=self.dtype_policy, name="expand"
        )
        self.expand.build((None, 1, 1, channels))

    def call(self, x: Any) -> Any:
        """Gate every channel of x."""
        gate = self.expand(ops.mean(x, axis=(1, 2), keepdims=True))
        return (x * gate, gate) if self.return_attention else x * gate

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape, and the gate's where it is returned."""
        gate_shape = (input_shape[0], 1, 1, input_shape[-1])
        return (tuple(input_shape), gate_shape) if self.return_attention else input_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "gate": self.gate,
            "use_bias": self.use_bias,
            "return_attention": self.return_attention,
        }
