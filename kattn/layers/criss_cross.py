"""CCNet: every position attends to its own row and column, several times over."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from kattn.layers.pieces.attend import wide_dtype
from kattn.layers.pieces.pointwise import pointwise
from kattn.layers.pieces.widths import checked_reduction, feature_map_channels, hidden_width


def swap(x: Any) -> Any:
    """Rows for columns: (batch, a, b, c) to (batch, b, a, c)."""
    return ops.transpose(x, (0, 2, 1, 3))


def criss_cross(query: Any, key: Any, value: Any) -> tuple[Any, Any]:
    """What each position gathers from its column and its row, and the weights of both.

    One softmax over both, of two batched products, with no full map and no -infinity: the centre is in the row's part,
    and its second count, in the column's, is multiplied by zero.

    Returns: (batch, height, width, channels) and the weights, the column's (batch, width, height, height) and the row's
        (batch, height, width, width).
    """
    wide = wide_dtype(keras.backend.standardize_dtype(value.dtype))
    query, key = ops.cast(query, wide), ops.cast(key, wide)
    column = ops.matmul(swap(query), ops.transpose(key, (0, 2, 3, 1)))  # (batch, width, height, height)
    row = ops.matmul(query, ops.transpose(key, (0, 1, 3, 2)))  # (batch, height, width, width)
    top = ops.maximum(ops.max(row, axis=-1, keepdims=True), swap(ops.max(column, axis=-1, keepdims=True)))
    top = ops.stop_gradient(top)
    height = ops.shape(value)[1]
    # As a constant where the height is known: exporters keep the graph of an identity matrix as it is.
    others = (
        ops.convert_to_tensor(1 - np.eye(height), wide) if isinstance(height, int) else 1 - ops.eye(height, dtype=wide)
    )
    column = ops.exp(column - swap(top)) * others
    row = ops.exp(row - top)
    scale = 1.0 / (ops.sum(row, axis=-1, keepdims=True) + swap(ops.sum(column, axis=-1, keepdims=True)))
    column = ops.cast(column * swap(scale), value.dtype)
    row = ops.cast(row * scale, value.dtype)
    gathered = swap(ops.matmul(column, swap(value))) + ops.matmul(row, value)
    return gathered, (column, row)


@keras.saving.register_keras_serializable("kattn")
class CrissCrossAttention(keras.Layer):
    """Attention along the row and the column; applied twice, every position reaches every other.

    Q = x Wq + bq;  K = x Wk + bk;  V = x Wv + bv      (1x1 convolutions)
    for position (i, j):  a = softmax over (t, j), t = 1..height, t != i, and (i, t), t = 1..width, of Q_ij . K
    y_ij = gamma (sum of a V over that cross) + x_ij;  then again with x = y, the same weights, `recurrence` times

    gamma is one number that starts at 0: the layer starts as the identity.

    Args:
        reduction: Q and K have channels // reduction channels, at least 1.
        recurrence: Times the layer is applied, at least 1. 2 as published; the authors' code has 1 in its head and its
            evaluation script and 0 (no attention at all) in its training script, and always passes the number.
        gamma: Learn gamma, as the authors' code does; False for the paper's plain sum.
        return_attention: Also return the weights of each recurrence, (batch, height, width, height + width), the
            column's first, with 0 where the column meets the position itself.

    Shapes: (batch, height, width, channels) in and out. Moving rows or columns about moves the output alike.
    Memory: N (H + W) weights a sample and recurrence (N = H W), where a full map has N^2: 7 MB against 354 MB at 97x97.
    Raises: ValueError for a reduction or recurrence below 1, or an input that is no feature map.
    Paper: Huang, Wang, Huang, Huang, Wei, Liu. CCNet: Criss-Cross Attention for Semantic Segmentation. ICCV 2019.
        arXiv:1811.11721
    Code: speedinghzl/CCNet
    """

    def __init__(
        self,
        reduction: int = 8,
        recurrence: int = 2,
        gamma: bool = True,
        return_attention: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if recurrence < 1:
            raise ValueError(f"recurrence must be at least 1. Received: recurrence={recurrence}")
        self.reduction = checked_reduction(reduction)
        self.recurrence = recurrence
        self.learn_gamma = gamma
        self.return_attention = return_attention

    def build(self, input_shape: Any) -> None:
        """Create the three projections and gamma."""
        channels = feature_map_channels(self, input_shape)
        hidden = hidden_width(channels, self.reduction)
        self.query = pointwise(hidden, name="query", dtype=self.dtype_policy)
        self.key = pointwise(hidden, name="key", dtype=self.dtype_policy)
        self.value = pointwise(channels, name="value", dtype=self.dtype_policy)
        for projection in (self.query, self.key, self.value):
            projection.build(input_shape)
        if self.learn_gamma:
            self.gamma = self.add_weight(shape=(), initializer="zeros", name="gamma")

    def call(self, x: Any) -> Any:
        """Gather along the cross, `recurrence` times."""
        maps = []
        for _ in range(self.recurrence):
            gathered, (column, row) = criss_cross(self.query(x), self.key(x), self.value(x))
            x = x + (ops.cast(self.gamma, x.dtype) * gathered if self.learn_gamma else gathered)
            if self.return_attention:
                maps.append(ops.concatenate([swap(column), row], axis=-1))
        return (x, *maps) if self.return_attention else x

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape, and that of each recurrence's weights where they are returned."""
        if not self.return_attention:
            return input_shape
        batch, height, width, _ = input_shape
        cross = None if height is None or width is None else height + width
        return (input_shape, *[(batch, height, width, cross)] * self.recurrence)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "reduction": self.reduction,
            "recurrence": self.recurrence,
            "gamma": self.learn_gamma,
            "return_attention": self.return_attention,
        }
