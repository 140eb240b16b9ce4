"""SNL: the simplified non-local block."""

from __future__ import annotations

from typing import Any

import keras

from kattn.layers.pieces.maps import softmax_mean
from kattn.layers.pieces.pointwise import pointwise
from kattn.layers.pieces.widths import feature_map_channels


@keras.saving.register_keras_serializable("kattn")
class SimplifiedNonLocal(keras.Layer):
    """One context vector for all positions: a non-local block whose attention does not depend on the query.

    a = softmax over all positions of (x . w_k + b_k)
    y = x + W_v (sum of a_n x_n) + b_v

    The value transform acts on the pooled vector: the weights sum to one, so it commutes with the sum.

    Args:
        use_bias: Biases of both 1x1 convolutions. No output depends on the mask's: the softmax cancels it.
        return_attention: Also return a, (batch, height, width, 1).

    The value transform starts at zero, so the block starts as the identity.

    Shapes: (batch, height, width, channels) in and out; memory for N = height * width is one N a sample.
    Raises: ValueError for an input that is no feature map.
    Paper: Cao, Xu, Lin, Wei, Hu. GCNet. ICCVW 2019, eq. 3. arXiv:1904.11492
    Code: none was published for this intermediate block.
    """

    def __init__(self, use_bias: bool = True, return_attention: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.use_bias = use_bias
        self.return_attention = return_attention

    def build(self, input_shape: Any) -> None:
        """Create the mask and the value convolutions."""
        channels = feature_map_channels(self, input_shape)
        common: dict[str, Any] = {"use_bias": self.use_bias, "dtype": self.dtype_policy}
        self.mask = pointwise(1, kernel_initializer="he_normal", name="mask", **common)
        self.mask.build(input_shape)
        self.value = pointwise(channels, kernel_initializer="zeros", name="value", **common)
        self.value.build((None, 1, 1, channels))

    def call(self, x: Any) -> Any:
        """Add the context of x to every position."""
        context, weights = softmax_mean(x, self.mask(x))
        y = x + self.value(context)
        return (y, weights) if self.return_attention else y

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape, and the weights' where they are returned."""
        return (tuple(input_shape), (*input_shape[:-1], 1)) if self.return_attention else input_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "use_bias": self.use_bias, "return_attention": self.return_attention}
