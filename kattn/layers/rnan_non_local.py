"""RNAN's non-local block, whose softmax runs over the queries."""

from __future__ import annotations

from typing import Any

import keras

from kattn.layers.dense_attention import attend, map_size, to_map, to_sequence
from kattn.layers.helpers import feature_map_channels, hidden_width, pointwise

SOFTMAX_OVER = {"query": "queries", "key": "keys"}


@keras.saving.register_keras_serializable("kattn")
class RNANNonLocal(keras.Layer):
    """Non-local attention in which each position distributes its value, as RNAN's code has it.

    y = W A g(x) + x, A = softmax over the queries of theta(x) phi(x)^T          1x1 convolutions; W starts at zero

    The weights of each key sum to one, those of a query do not. The paper normalises over the keys, as usual; the
    authors' code for all five of their tasks, and so the default, over the queries.

    Args:
        softmax_axis: "query" (the code) or "key" (the paper).
        reduction: Channels of theta, phi and g are C // reduction, at least 1.
        inter_channels: Those channels themselves; overrides the reduction.
        return_attention: Also return A.

    Shapes: (batch, height, width, channels) in and out; attention (batch, N, N), N = H * W.
    Memory: the matrix, 4 N^2 bytes a sample, in training and where it is returned; at inference on a map of known size
        at most 32 MiB of it at a time.
    Raises: ValueError for an unknown axis or an input that is no feature map.
    Paper: Zhang, Li, Li, Zhong, Fu. Residual Non-local Attention Networks for Image Restoration. ICLR 2019.
        arXiv:1903.10082
    Code: yulunzhang/RNAN.
    """

    def __init__(
        self,
        softmax_axis: str = "query",
        reduction: int = 2,
        inter_channels: int | None = None,
        return_attention: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if softmax_axis not in SOFTMAX_OVER:
            raise ValueError(f"softmax_axis must be 'query' or 'key'. Received: softmax_axis={softmax_axis!r}")
        self.softmax_axis = softmax_axis
        self.reduction = reduction
        self.inter_channels = inter_channels
        self.return_attention = return_attention

    def build(self, input_shape: Any) -> None:
        """Create the four 1x1 convolutions."""
        channels = feature_map_channels(self, input_shape)
        inter = hidden_width(channels, self.reduction) if self.inter_channels is None else self.inter_channels
        self.theta = pointwise(inter, name="theta", dtype=self.dtype_policy)
        self.phi = pointwise(inter, name="phi", dtype=self.dtype_policy)
        self.g = pointwise(inter, name="g", dtype=self.dtype_policy)
        self.w = pointwise(channels, kernel_initializer="zeros", name="w", dtype=self.dtype_policy)
        for layer in (self.theta, self.phi, self.g):
            layer.build((None, None, None, channels))
        self.w.build((None, None, None, inter))

    def call(self, x: Any) -> Any:
        """Add what each position is given by the others."""
        query, key, value = (to_sequence(projection(x)) for projection in (self.theta, self.phi, self.g))
        over = SOFTMAX_OVER[self.softmax_axis]
        given, attention = attend(query, key, value, over=over, return_attention=self.return_attention)
        y = self.w(to_map(given, like=x)) + x
        return (y, attention) if self.return_attention else y

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape, and the attention's where it is returned."""
        if not self.return_attention:
            return input_shape
        return input_shape, (input_shape[0], map_size(input_shape), map_size(input_shape))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "softmax_axis": self.softmax_axis,
            "reduction": self.reduction,
            "inter_channels": self.inter_channels,
            "return_attention": self.return_attention,
        }
