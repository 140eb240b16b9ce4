"""Polarized self-attention: a channel gate and a spatial gate, each folded by a softmax in one direction only."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kattn.layers.pieces.attend import positions, softmax, wide_dtype
from kattn.layers.pieces.initial_weights import Kernel, kaiming_normal_fan_in
from kattn.layers.pieces.maps import softmax_mean
from kattn.layers.pieces.norms import LN_EPSILON, standardised
from kattn.layers.pieces.pointwise import pointwise
from kattn.layers.pieces.widths import feature_map_channels, hidden_width

SQUEEZE = 4  # of the inner width to the hidden one, in the sequential form's way up


@keras.saving.register_keras_serializable("kattn")
class PolarizedSelfAttention(keras.Layer):
    """Two gates that keep full resolution in one direction, channels or positions, and fold the other.

    c(x) = sigmoid(up(sum over positions of softmax(W_q x) W_v x)), a value a channel; inner width C/2
    s(x) = sigmoid(softmax over positions of (U_v x . mean of U_q x)), a value a position
    y = x * c(x) + x * s(x)                                  sequential=False
    y = z * s(z), z = x * c(x)                               sequential=True

    In parallel up is one 1x1 convolution without bias. In sequence up is W2 relu(LN(W1 . + b1)) + b2 of C/8 hidden
    channels, and s(x) = sigmoid(softmax over positions of (U_v x) . mean of U_q x): the softmax comes before the
    product. All of this is the authors' code.

    Args:
        sequential: The channel gate first, then the spatial gate of the result (PSA_s of the code); False adds the two
            gated maps (PSA_p).
        paper: The gates of the paper's equations instead, the same for both forms: up is LN(W . + b), and
            s(x) = sigmoid(U_v x . softmax over channels of the mean of U_q x).
        return_attention: Also return the spatial gate, (batch, height, width, 1).

    Shapes: (batch, height, width, channels) in and out.
    Raises: ValueError for an input that is no feature map.
    Paper: Liu, Liu, Fan, Huang. Polarized Self-Attention: Towards High-quality Pixel-wise Regression. Neurocomputing
        2022. arXiv:2107.00782
    Code: DeLightCMU/PSA
    """

    def __init__(
        self, sequential: bool = False, paper: bool = False, return_attention: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.sequential = sequential
        self.paper = paper
        self.return_attention = return_attention

    def build(self, input_shape: Any) -> None:
        """Create the queries and values of both gates and the way up."""
        channels = feature_map_channels(self, input_shape)
        inner = hidden_width(channels, 2)
        widths = {"channel_query": 1, "channel_value": inner, "spatial_query": inner, "spatial_value": inner}
        for name, filters in widths.items():
            start = kaiming_normal_fan_in(Kernel(channels, filters))
            setattr(self, name, self._conv(name, filters, channels, use_bias=False, kernel_initializer=start))
        width = inner
        if self.sequential and not self.paper:
            width = hidden_width(inner, SQUEEZE)
            self.reduce = self._conv("reduce", width, inner)
        self.expand = self._conv("expand", channels, width, use_bias=self.paper or self.sequential)
        if self.paper or self.sequential:
            normalised = channels if self.paper else width
            self.gamma = self.add_weight(shape=(normalised,), initializer="ones", name="gamma")
            self.beta = self.add_weight(shape=(normalised,), initializer="zeros", name="beta")

    def _conv(self, name: str, filters: int, channels: int, **options: Any) -> keras.Layer:
        conv = pointwise(filters, name=name, dtype=self.dtype_policy, **options)
        conv.build((None, 1, 1, channels))
        return conv

    def _normalise(self, x: Any) -> Any:
        return standardised(x, LN_EPSILON) * ops.cast(self.gamma, x.dtype) + ops.cast(self.beta, x.dtype)

    def channel_gate(self, x: Any) -> Any:
        """The gate of each channel of x, (batch, 1, 1, channels)."""
        z, _ = softmax_mean(self.channel_value(x), self.channel_query(x))
        if self.paper:
            return ops.sigmoid(self._normalise(self.expand(z)))
        if self.sequential:
            z = ops.relu(self._normalise(self.reduce(z)))
        return ops.sigmoid(self.expand(z))

    def spatial_gate(self, x: Any) -> Any:
        """The gate of each position of x, (batch, height, width, 1)."""
        query = ops.mean(self.spatial_query(x), axis=(1, 2), keepdims=True)
        values = self.spatial_value(x)
        _, height, width, inner = ops.shape(values)
        wide = wide_dtype(keras.backend.standardize_dtype(values.dtype))
        query = ops.reshape(ops.cast(query, wide), (-1, 1, inner))
        rows = ops.transpose(ops.cast(positions(values), wide), (0, 2, 1))
        if self.paper:
            scores = ops.matmul(softmax(query), rows)
        elif self.sequential:
            scores = ops.matmul(query, softmax(rows))
        else:
            scores = softmax(ops.matmul(query, rows))
        return ops.cast(ops.reshape(ops.sigmoid(scores), (-1, height, width, 1)), x.dtype)

    def call(self, x: Any) -> Any:
        """Gate the channels and the positions of x."""
        channels = self.channel_gate(x)
        if self.sequential:
            x = x * channels
            spatial = self.spatial_gate(x)
            y = x * spatial
        else:
            spatial = self.spatial_gate(x)
            y = x * (channels + spatial)
        return (y, spatial) if self.return_attention else y

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape, and the spatial gate's where it is returned."""
        return (tuple(input_shape), (*input_shape[:-1], 1)) if self.return_attention else input_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "sequential": self.sequential,
            "paper": self.paper,
            "return_attention": self.return_attention,
        }
