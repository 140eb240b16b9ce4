"""EMA: efficient multi-scale attention."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from kattn.layers.pieces.attend import softmax, wide_dtype
from kattn.layers.pieces.shared_groups import SharedGroupsConv2D
from kattn.layers.pieces.widths import feature_map_channels

GN_EPSILON = 1e-5  # torch's group normalisation
FACTOR = 32


@keras.saving.register_keras_serializable("kattn")
class EfficientMultiScaleAttention(keras.Layer):
    """A gate for every group and position, from two branches of unlike reach that weigh each other's channels.

    In each group of c channels, with the same weights for all groups:

    p = W (mean of x over the width) + b;   q = W (mean of x over the height) + b
    a = GN(x * sigmoid(p) * sigmoid(q)), every channel normalised over its positions
    d = conv 3x3 (x)
    z = softmax_c(mean of a) . d + softmax_c(mean of d) . a, a value a position
    y = x * sigmoid(z)

    Args:
        factor: Number of groups, which must divide the channels. None takes the authors' 32, or the largest power of
            two below that does.
        return_attention: Also return the gate, (batch, height, width, factor).

    Shapes: (batch, height, width, channels) in and out.
    Raises: ValueError for a factor that does not divide the channels, or an input that is no feature map.
    Paper: Ouyang, He, Zhang, Luo, Guo, Zhan, Huang. Efficient Multi-Scale Attention Module with Cross-Spatial Learning.
        ICASSP 2023. arXiv:2305.13563
    Code: YOLOonMe/EMA-attention-module
    """

    def __init__(self, factor: int | None = None, return_attention: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if factor is not None and factor < 1:
            raise ValueError(f"factor must be at least 1, or None. Received: factor={factor}")
        self.factor = factor
        self.return_attention = return_attention

    def build(self, input_shape: Any) -> None:
        """Create the two convolutions and the normalisation, of the width of one group."""
        channels = feature_map_channels(self, input_shape)
        self._groups = self._count(channels)
        if channels % self._groups:
            raise ValueError(f"factor={self._groups} does not divide the input's {channels} channels.")
        width = channels // self._groups
        self.point = SharedGroupsConv2D(channels, 1, self._groups, name="point", dtype=self.dtype_policy)
        self.local = SharedGroupsConv2D(channels, 3, self._groups, name="local", dtype=self.dtype_policy)
        for conv in (self.point, self.local):
            conv.build(input_shape)
        self.gamma = self.add_weight(shape=(width,), initializer="ones", name="gamma")
        self.beta = self.add_weight(shape=(width,), initializer="zeros", name="beta")

    def _count(self, channels: int) -> int:
        return self.factor or math.gcd(channels, FACTOR)

    def call(self, x: Any) -> Any:
        """Gate the groups of x at every position."""
        rows = self.point(ops.mean(x, axis=2, keepdims=True))
        columns = self.point(ops.mean(x, axis=1, keepdims=True))
        directed = self._normalise(x * ops.sigmoid(rows) * ops.sigmoid(columns))
        local = self.local(x)
        # A normalised channel's mean is its beta, exactly; an integer runtime cannot take the mean of such a map.
        means = ops.tile(ops.cast(self.beta, local.dtype), (self._groups,))
        weighed = self._weights(ops.reshape(means, (1, 1, 1, -1))) * local
        weighed = weighed + self._weights(ops.mean(local, axis=(1, 2), keepdims=True)) * directed
        # Sums over the channels of a group, and copies to them, by a constant matrix: maps stay of rank 4.
        member = np.repeat(np.eye(self._groups), x.shape[-1] // self._groups, axis=0)
        gate = ops.sigmoid(ops.matmul(weighed, ops.convert_to_tensor(member, dtype=weighed.dtype)))
        y = x * ops.matmul(gate, ops.convert_to_tensor(member.T, dtype=gate.dtype))
        return (y, gate) if self.return_attention else y

    def _normalise(self, x: Any) -> Any:
        """Every channel over its positions, in float32 under half precision."""
        wide = ops.cast(x, wide_dtype(keras.backend.standardize_dtype(x.dtype)))
        gamma, beta = (ops.tile(ops.cast(w, wide.dtype), (self._groups,)) for w in (self.gamma, self.beta))
        centred = wide - ops.mean(wide, axis=(1, 2), keepdims=True)
        variance = ops.mean(ops.square(centred), axis=(1, 2), keepdims=True)
        return ops.cast(centred * (ops.rsqrt(variance + GN_EPSILON) * gamma) + beta, x.dtype)

    def _weights(self, means: Any) -> Any:
        """Softmax of the means over the channels of each group, (batch, 1, 1, channels)."""
        channels = means.shape[-1]
        grouped = ops.reshape(means, (-1, 1, self._groups, channels // self._groups))
        return ops.reshape(softmax(grouped), (-1, 1, 1, channels))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape, and the gate's where it is returned."""
        gate = (*input_shape[:-1], self._count(input_shape[-1]))
        return (tuple(input_shape), gate) if self.return_attention else input_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "factor": self.factor, "return_attention": self.return_attention}
