"""MHSA: the self-attention with relative positions of bottleneck transformers (BoTNet)."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from kattn.layers.pieces.attend import positions, softmax, wide_dtype
from kattn.layers.pieces.pointwise import pointwise
from kattn.layers.pieces.widths import feature_map_channels

POOL_PADDING = ("same", "valid")


def offsets(size: int) -> np.ndarray:
    """(size * size, 2 size - 1): row i * size + j picks the offset j - i, of which the first is 1 - size."""
    at = np.arange(size)
    return np.eye(2 * size - 1)[(at[None, :] - at[:, None] + size - 1).reshape(-1)]


@keras.saving.register_keras_serializable("kattn")
class MultiHeadSelfAttention2D(keras.Layer):
    """Every position takes a weighed sum over all, by likeness and by where the other stands relative to it.

    In each head, of d channels, with Q, K and V 1x1 convolutions of x:

    A_ij = softmax over j of d^-1/2 (Q_i . K_j + Q_i . (r_h[row of j - row of i] + r_w[column of j - column of i]))
    y_i = sum over j of A_ij V_j

    The tables r_h and r_w serve all heads. There is neither an output projection nor a shortcut.

    Args:
        filters: Channels of the output, divided among the heads; None for those of the input.
        strides: Average pooling behind the attention, of this window and stride.
        heads: Number of heads.
        key_dim: d; None for filters // heads.
        use_bias: Biases of the three convolutions; the authors' have none.
        scale_position: Divide the position's part of the logits too, as the authors' code does; timm does not unless
            told.
        pool_padding: Of that pooling where the stride does not divide the map: "same" as in the authors' code, the mean
            of what is there; "valid" as in timm, which drops the rest.
        return_attention: Also return A, (batch, heads, height * width, height * width).

    The tables fix the size of the map, which must be known when the layer is built.

    Shapes: (batch, height, width, channels) to (batch, height / strides, width / strides, filters).
    Raises: ValueError for numbers out of range, heads that do not divide the filters, a map of unknown size, or an
        input that is no feature map.
    Paper: Srinivas, Lin, Parmar, Shlens, Abbeel, Vaswani. Bottleneck Transformers for Visual Recognition. CVPR 2021.
        arXiv:2101.11605
    Code: a gist of the authors; timm's BottleneckAttn is `scale_position=False, pool_padding="valid"`.
    """

    def __init__(
        self,
        filters: int | None = None,
        strides: int = 1,
        heads: int = 4,
        key_dim: int | None = None,
        use_bias: bool = False,
        scale_position: bool = True,
        pool_padding: str = "same",
        return_attention: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        given = {"filters": filters, "strides": strides, "heads": heads, "key_dim": key_dim}
        if any(value is not None and value < 1 for value in given.values()):
            raise ValueError(f"{', '.join(given)} must be at least 1. Received: {given}")
        if pool_padding not in POOL_PADDING:
            raise ValueError(f"pool_padding must be same or valid. Received: pool_padding={pool_padding!r}")
        self.filters = filters
        self.strides = strides
        self.heads = heads
        self.key_dim = key_dim
        self.use_bias = use_bias
        self.scale_position = scale_position
        self.pool_padding = pool_padding
        self.return_attention = return_attention

    def build(self, input_shape: Any) -> None:
        """Create the projections and the tables of relative positions."""
        channels = feature_map_channels(self, input_shape)
        _, height, width, _ = input_shape
        if height is None or width is None:
            raise ValueError(
                f"{type(self).__name__} has a weight for each relative position: it needs a known height and width. "
                f"Received: shape {tuple(input_shape)}"
            )
        filters = self.filters or channels
        if filters % self.heads:
            raise ValueError(f"heads={self.heads} does not divide the {filters} filters.")
        self.width_of_keys = self.key_dim or filters // self.heads
        for name, wanted in (("query", self.heads * self.width_of_keys), ("key", self.heads * self.width_of_keys)):
            setattr(self, name, self._project(name, wanted, input_shape))
        self.value = self._project("value", filters, input_shape)
        for name, side in (("height_table", height), ("width_table", width)):
            start = keras.initializers.TruncatedNormal(stddev=self.width_of_keys**-0.5)
            shape = (2 * side - 1, self.width_of_keys)
            setattr(self, name, self.add_weight(shape=shape, initializer=start, name=name))

    def _project(self, name: str, filters: int, input_shape: Any) -> keras.Layer:
        start = keras.initializers.TruncatedNormal(stddev=input_shape[-1] ** -0.5)
        options: dict[str, Any] = {"use_bias": self.use_bias, "kernel_initializer": start, "dtype": self.dtype_policy}
        conv = pointwise(filters, name=name, **options)
        conv.build(input_shape)
        return conv

    def _heads(self, x: Any) -> Any:
        """(batch, height, width, heads * c) to (batch * heads, height * width, c)."""
        _, height, width, channels = x.shape
        share = channels // self.heads
        x = ops.reshape(positions(x), (-1, height * width, self.heads, share))
        return ops.reshape(ops.transpose(x, (0, 2, 1, 3)), (-1, height * width, share))

    def _position_scores(self, queries: Any, height: int, width: int) -> Any:
        """Each query's logits from where the keys stand, (batch * heads, height * width, height * width)."""
        d, dtype = self.width_of_keys, queries.dtype

        def table(values: Any, size: int) -> Any:
            rows = ops.matmul(ops.convert_to_tensor(offsets(size), dtype=dtype), ops.cast(values, dtype))
            return ops.transpose(ops.reshape(rows, (size, size, d)), (0, 2, 1))  # own place, d, other's place

        by_rows = ops.reshape(queries, (-1, height, width, d))
        of_rows = ops.matmul(by_rows, table(self.height_table, height))
        by_columns = ops.transpose(by_rows, (0, 2, 1, 3))
        of_columns = ops.transpose(ops.matmul(by_columns, table(self.width_table, width)), (0, 2, 1, 3))
        scores = ops.reshape(ops.concatenate([of_rows, of_columns], axis=-1), (-1, height * width, height + width))
        # Key j takes the score of its row and that of its column: a constant matrix with two ones a key.
        places = np.concatenate([np.repeat(np.eye(height), width, axis=1), np.tile(np.eye(width), (1, height))])
        return ops.matmul(scores, ops.convert_to_tensor(places, dtype=dtype))

    def call(self, x: Any) -> Any:
        """Attend, then pool."""
        _, height, width, _ = x.shape
        queries, keys, values = (self._heads(project(x)) for project in (self.query, self.key, self.value))
        wide = wide_dtype(keras.backend.standardize_dtype(values.dtype))
        queries = ops.cast(queries, wide)
        scaled = queries * self.width_of_keys**-0.5
        scores = self._position_scores(scaled if self.scale_position else queries, height, width)
        logits = ops.matmul(scaled, ops.transpose(ops.cast(keys, wide), (0, 2, 1))) + scores
        attention = ops.cast(softmax(logits), values.dtype)
        y = ops.matmul(attention, values)
        share = values.shape[-1]
        y = ops.transpose(ops.reshape(y, (-1, self.heads, height * width, share)), (0, 2, 1, 3))
        y = ops.reshape(y, (-1, height, width, self.heads * share))
        if self.strides > 1:
            y = ops.average_pool(
                y, self.strides, strides=self.strides, padding=self.pool_padding, data_format="channels_last"
            )
        if not self.return_attention:
            return y
        return y, ops.reshape(attention, (-1, self.heads, height * width, height * width))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The map's shape, and the attention's where it is returned."""
        batch, height, width, channels = input_shape
        up = self.strides - 1 if self.pool_padding == "same" else 0
        sides = ((side + up) // self.strides for side in (height, width))
        shape = (batch, *sides, self.filters or channels)
        return (shape, (batch, self.heads, height * width, height * width)) if self.return_attention else shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "strides": self.strides,
            "heads": self.heads,
            "key_dim": self.key_dim,
            "use_bias": self.use_bias,
            "scale_position": self.scale_position,
            "pool_padding": self.pool_padding,
            "return_attention": self.return_attention,
        }
