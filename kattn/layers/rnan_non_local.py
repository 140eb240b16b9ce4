"""RNAN's non-local block, whose softmax runs over the queries."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kattn.layers.pieces.attend import for_gradient, positions, query_block, softmax, wide_dtype
from kattn.layers.pieces.attend_maps import attend_maps, map_size
from kattn.layers.pieces.maps import to_map
from kattn.layers.pieces.pointwise import pointwise
from kattn.layers.pieces.widths import checked_reduction, feature_map_channels, hidden_width

SOFTMAX_AXES = ("query", "key")


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
    Memory: the matrix, 4 N^2 bytes a sample; on a map of known size at most 64 MiB of it at a time (in training
        512), unless it is returned.
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
        if softmax_axis not in SOFTMAX_AXES:
            raise ValueError(f"softmax_axis must be 'query' or 'key'. Received: softmax_axis={softmax_axis!r}")
        self.softmax_axis = softmax_axis
        self.reduction = checked_reduction(reduction)
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

    def call(self, x: Any, training: bool | None = None) -> Any:
        """Add what each position is given by the others."""
        weighed = distribute_maps if self.softmax_axis == "query" else attend_maps
        given, attention = weighed(
            self.theta(x), self.phi(x), self.g(x), return_attention=self.return_attention, training=training
        )
        y = self.w(given) + x
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


def distribute_maps(
    query: Any, key: Any, value: Any, *, return_attention: bool = False, training: bool | None = False
) -> tuple[Any, Any | None]:
    """As attend_maps, with the softmax over the queries: every key's value is shared out among them.

    What a key hands out depends on no other key: where the matrix is large it is made, and its part of the sum
    added up, for a block of keys at a time, and in training made again for the gradient.
    """
    like, dtype = query, keras.backend.standardize_dtype(value.dtype)
    query, key = (ops.cast(positions(t), wide_dtype(dtype)) for t in (query, key))
    query, value = ops.transpose(query, (0, 2, 1)), ops.transpose(positions(value), (0, 2, 1))

    def shares(key: Any, query: Any) -> Any:
        return ops.cast(softmax(ops.matmul(key, query)), dtype)

    # (c, keys) x (keys, queries) transposes the values, which are small, and not the matrix.
    def given(key: Any, query: Any, value: Any) -> Any:
        return ops.matmul(value, shares(key, query))

    keys = ops.shape(key)[1]
    block = None if return_attention else query_block(keys, ops.shape(query)[2])
    if block is None:
        matrix = shares(key, query)
        rows = ops.matmul(value, matrix)
    else:
        matrix, part = None, for_gradient(given, keys * ops.shape(query)[2], training)
        parts = [part(key[:, i : i + block], query, value[:, :, i : i + block]) for i in range(0, keys, block)]
        rows = sum(parts[1:], start=parts[0])
    attention = ops.transpose(matrix, (0, 2, 1)) if return_attention else None
    return to_map(ops.transpose(rows, (0, 2, 1)), like), attention
