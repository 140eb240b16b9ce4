"""SE: squeeze and excitation."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kattn.layers.pieces.pointwise import pointwise
from kattn.layers.pieces.widths import checked_reduction, feature_map_channels, hidden_width

SQUEEZES = {
    "avg": lambda x: ops.mean(x, axis=(1, 2), keepdims=True),
    "max": lambda x: ops.max(x, axis=(1, 2), keepdims=True),
}


@keras.saving.register_keras_serializable("kattn")
class SqueezeExcite(keras.Layer):
    """Channel gate from a squeezed description of the whole map.

    z = mean (or maximum) of x over height and width
    y = x * sigmoid(W2 relu(W1 z + b1) + b2)

    Args:
        reduction: Hidden width is channels // reduction, at least 1.
        divisor: Round channels / reduction to the nearest multiple of this number, at least one, as timm does with 8 in
            its SE-ResNets: 64 channels then have a hidden width of 8, not 4. None: no rounding.
        squeeze: "avg" or "max", the pooling over height and width.
        excitation: Activation of the gate: "sigmoid", "tanh", "relu" (the paper's ablation) or any other of Keras's.
        use_bias: Biases of both 1x1 convolutions. True as in the released definitions; the journal version of the
            paper recommends False.
        return_attention: Also return the gate, (batch, 1, 1, channels).

    Shapes: (batch, height, width, channels) in and out.
    Raises: ValueError for an unknown squeeze, a reduction below 1, or an input that is no feature map.
    Paper: Hu, Shen, Sun. Squeeze-and-Excitation Networks. CVPR 2018. arXiv:1709.01507
    Code: hujie-frank/SENet. Other collections round the hidden width to a multiple of eight; here it is `divisor=8`.
    """

    def __init__(
        self,
        reduction: int = 16,
        squeeze: str = "avg",
        excitation: str = "sigmoid",
        use_bias: bool = True,
        return_attention: bool = False,
        divisor: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if squeeze not in SQUEEZES:
            raise ValueError(f"squeeze must be one of {sorted(SQUEEZES)}. Received: squeeze={squeeze!r}")
        if divisor is not None and (not isinstance(divisor, int) or isinstance(divisor, bool) or divisor < 1):
            raise ValueError(f"divisor must be None or an integer of at least 1. Received: divisor={divisor!r}")
        self.reduction = checked_reduction(reduction)
        self.squeeze = squeeze
        self.excitation = excitation
        self.use_bias = use_bias
        self.return_attention = return_attention
        self.divisor = divisor

    def build(self, input_shape: Any) -> None:
        """Create both convolutions for the input's channels."""
        channels = feature_map_channels(self, input_shape)
        common: dict[str, Any] = {"use_bias": self.use_bias, "dtype": self.dtype_policy}
        hidden = hidden_width(channels, self.reduction, self.divisor)
        self.reduce = pointwise(hidden, activation="relu", name="reduce", **common)
        self.expand = pointwise(channels, activation=self.excitation, name="expand", **common)
        self.reduce.build((None, 1, 1, channels))
        self.expand.build((None, 1, 1, hidden))

    def call(self, x: Any) -> Any:
        """Gate every channel of x."""
        gate = self.expand(self.reduce(SQUEEZES[self.squeeze](x)))
        return (x * gate, gate) if self.return_attention else x * gate

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape, and the gate's where it is returned."""
        gate_shape = (input_shape[0], 1, 1, input_shape[-1])
        return (tuple(input_shape), gate_shape) if self.return_attention else input_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "reduction": self.reduction,
            "squeeze": self.squeeze,
            "excitation": self.excitation,
            "use_bias": self.use_bias,
            "return_attention": self.return_attention,
            "divisor": self.divisor,
        }
