"""DANet: attention between positions and attention between channels."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kattn.layers.pieces.attend import attend, positions, softmax, wide_dtype
from kattn.layers.pieces.pointwise import pointwise
from kattn.layers.pieces.widths import checked_reduction, feature_map_channels, hidden_width


@keras.saving.register_keras_serializable("kattn")
class PositionAttention(keras.Layer):
    """Every position gathers from all positions, by similarity (DANet's PAM).

    Q = x Wq + bq;  K = x Wk + bk;  V = x Wv + bv      (1x1 convolutions)
    A = softmax over keys of Q K^T;   y = gamma (A V) + x

    gamma is one number that starts at 0: the layer starts as the identity.

    Args:
        reduction: Q and K have channels // reduction channels, at least 1. 8 as in the authors' code; the paper draws
            them with all channels (reduction=1).
        block: Queries whose attention is held at once. None: all while the map has at most 2^24 entries, else as many
            as fit in that. The result does not depend on it.
        return_attention: Also return A, (batch, N, N), one row a query.

    Shapes: (batch, height, width, channels) in and out. Moving whole positions about moves the output alike.
    Memory: N^2 values of A a sample (N = H W) up to 2^24 (in training 2^27); block * N of them above.
    Raises: ValueError for a reduction or block below 1, or an input that is no feature map.
    Paper: Fu, Liu, Tian, Li, Bao, Fang, Lu. Dual Attention Network for Scene Segmentation. CVPR 2019. arXiv:1809.02983
    Code: junfu1115/DANet. The paper's text normalises and activates Q and K; the code, and this layer, do not.
    """

    def __init__(
        self, reduction: int = 8, block: int | None = None, return_attention: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if block is not None and block < 1:
            raise ValueError(f"block must be None or at least 1 query. Received: block={block}")
        self.reduction = checked_reduction(reduction)
        self.block = block
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
        self.gamma = self.add_weight(shape=(), initializer="zeros", name="gamma")

    def call(self, x: Any, training: bool | None = None) -> Any:
        """Add what each position gathers."""
        query, key, value = (positions(project(x)) for project in (self.query, self.key, self.value))
        gathered = attend(
            query, key, value, block=self.block, return_attention=self.return_attention, training=training
        )
        y, *attention = gathered if self.return_attention else (gathered,)
        y = x + ops.cast(self.gamma, x.dtype) * ops.reshape(y, (-1, *ops.shape(x)[1:]))
        return (y, *attention) if attention else y

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape, and that of A where it is returned."""
        if not self.return_attention:
            return input_shape
        batch, height, width, _ = input_shape
        n = None if height is None or width is None else height * width
        return input_shape, (batch, n, n)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "reduction": self.reduction,
            "block": self.block,
            "return_attention": self.return_attention,
        }


@keras.saving.register_keras_serializable("kattn")
class ChannelSelfAttention(keras.Layer):
    """Every channel gathers from all channels, by similarity over the whole map (DANet's CAM).

    E = X^T X                                          (channels x channels, X is x with one row a position)
    A = softmax over the last axis of -E               (negate=True, the authors' code)
    A = softmax over the last axis of E                (negate=False, the paper)
    y = gamma (X A^T) + x

    gamma is one number, the only parameter, and starts at 0: the layer starts as the identity. E is a sum over all
    positions without a scale and easily reaches 1e4, so it is float32 under mixed precision too.

    Args:
        negate: With True a channel attends to those least like it. The authors say it was added for convergence; their
            published weights need it.
        return_attention: Also return A, (batch, channels, channels), one row an output channel.

    Shapes: (batch, height, width, channels) in and out. Moving positions or channels about moves the output alike.
    Memory: C^2 values of A a sample, whatever N = H W is; 2 N C^2 multiply-adds.
    Raises: ValueError for an input that is no feature map.
    Paper: Fu, Liu, Tian, Li, Bao, Fang, Lu. Dual Attention Network for Scene Segmentation. CVPR 2019. arXiv:1809.02983
    Code: junfu1115/DANet
    """

    attention_kind = "channels"  # for pictures: (N, N) and (C, C) cannot be told apart where N = C

    def __init__(self, negate: bool = True, return_attention: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.negate = negate
        self.return_attention = return_attention

    def build(self, input_shape: Any) -> None:
        """Create gamma."""
        feature_map_channels(self, input_shape)
        self.gamma = self.add_weight(shape=(), initializer="zeros", name="gamma")

    def call(self, x: Any) -> Any:
        """Add what each channel gathers."""
        flat = positions(x)
        wide = ops.cast(flat, wide_dtype(keras.backend.standardize_dtype(x.dtype)))
        energy = ops.matmul(ops.transpose(wide, (0, 2, 1)), wide)
        # The code's (row maximum - E) differs from -E by a constant a row, which the softmax takes away.
        attention = ops.cast(softmax(-energy if self.negate else energy), x.dtype)
        y = ops.reshape(ops.matmul(flat, ops.transpose(attention, (0, 2, 1))), (-1, *ops.shape(x)[1:]))
        y = x + ops.cast(self.gamma, x.dtype) * y
        return (y, attention) if self.return_attention else y

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape, and that of A where it is returned."""
        batch, channels = input_shape[0], input_shape[-1]
        return (input_shape, (batch, channels, channels)) if self.return_attention else input_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "negate": self.negate, "return_attention": self.return_attention}
