"""BAT: bilinear attentional transforms, which mix a map's rows and its columns by small matrices made from it."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kattn.layers.pieces.conv_norm import ConvNormActivation
from kattn.layers.pieces.widths import checked_reduction, feature_map_channels, hidden_width

BLOCK_SIZE = 7  # in the authors' networks, whose maps are 28x28 and 14x14


def largest_block(height: int, width: int) -> int:
    """The largest number up to 7 that divides both sides."""
    return next(size for size in range(BLOCK_SIZE, 0, -1) if height % size == width % size == 0)


@keras.saving.register_keras_serializable("kattn")
class BilinearAttentionTransform(keras.Layer):
    """Each group of channels of a narrower map is multiplied by a matrix from the left and one from the right.

    CBR(x) = relu(BN(W x + b)); u = CBR(x) of channels // reduction; o = CBR(u) of one channel a group
    P = sigmoid(conv s x 1 (maxima of o in s bands of rows)), an s x s matrix a group, each row divided by its sum
    Q = sigmoid(conv 1 x s (maxima of o in s bands of columns)), each column divided by its sum
    v = (P x I) u (Q x I) in each group of channels, x I repeating a matrix for the positions inside a band
    y = x + drop(CBR(CBR(v)))

    Args:
        reduction: The inner width is channels // reduction, less what the groups do not divide, at least one channel a
            group.
        block_size: s, the number of bands of height and width, which must divide both. None takes the 7 of the authors'
            networks, or the largest number below that divides both sides; their layer's own default is 4.
        matrices: Groups of channels with matrices of their own.
        dropout: Share of the branch's channels dropped in training.
        return_attention: Also return P and Q, (batch, matrices, s, s) each.

    Shapes: (batch, height, width, channels) in and out; height and width must be known.
    Raises: ValueError for numbers out of range or that do not divide, a map of unknown size, or an input that is no
        feature map.
    Paper: Chi, Yuan, Mu, Wang. Non-Local Neural Networks With Grouped Bilinear Attentional Transforms. CVPR 2020
    Code: BA-Transform/BAT-Image-Classification, with square maps only; other maps are cut as in timm.
    """

    def __init__(
        self,
        reduction: int = 2,
        block_size: int | None = None,
        matrices: int = 4,
        dropout: float = 0.2,
        return_attention: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if matrices < 1 or (block_size is not None and block_size < 1) or not 0 <= dropout < 1:
            raise ValueError(
                "matrices and block_size must be at least 1, dropout from 0 to below 1. "
                f"Received: matrices={matrices}, block_size={block_size}, dropout={dropout}"
            )
        self.reduction = checked_reduction(reduction)
        self.block_size = block_size
        self.matrices = matrices
        self.dropout = dropout
        self.return_attention = return_attention

    def build(self, input_shape: Any) -> None:
        """Create the convolutions around the transform and those of its matrices."""
        channels = feature_map_channels(self, input_shape)
        _, height, width, _ = input_shape
        size, inner = self._size(input_shape), hidden_width(channels, self.reduction)
        inner = max(1, inner // self.matrices) * self.matrices
        if height % size or width % size:
            raise ValueError(f"block_size={size} must divide the map's height and width. Received: {height}x{width}")
        self.size = size
        self.enter = self._unit("enter", inner, channels)
        self.pooled = self._unit("pooled", self.matrices, inner)
        self.left = self._matrix("left", (size, 1))
        self.right = self._matrix("right", (1, size))
        self.mixed = self._unit("mixed", inner, inner)
        self.leave = self._unit("leave", channels, inner)
        self.drop = keras.layers.SpatialDropout2D(
            self.dropout, data_format="channels_last", name="drop", dtype=self.dtype_policy
        )

    def _size(self, shape: Any) -> int:
        _, height, width, _ = shape
        if height is None or width is None:
            raise ValueError(
                f"{type(self).__name__} needs a known height and width, which it cuts into bands. "
                f"Received: shape {tuple(shape)}"
            )
        return self.block_size or largest_block(height, width)

    def _unit(self, name: str, filters: int, channels: int) -> keras.Layer:
        unit = ConvNormActivation(filters, use_bias=True, name=name, dtype=self.dtype_policy)
        unit.build((None, None, None, channels))
        return unit

    def _matrix(self, name: str, kernel: tuple[int, int]) -> keras.Layer:
        conv = keras.layers.Conv2D(
            self.matrices * self.size**2,
            kernel,
            activation="sigmoid",
            data_format="channels_last",
            name=name,
            dtype=self.dtype_policy,
        )
        conv.build((None, *kernel, self.matrices))
        return conv

    def transforms(self, u: Any, training: bool | None = None) -> tuple[Any, Any]:
        """P and Q of the inner map, (batch, matrices, s, s) each."""
        pooled = self.pooled(u, training=training)
        size, (_, height, width, groups) = self.size, pooled.shape
        bands = ((height // size, width), (height, width // size))
        rows, columns = (ops.max_pool(pooled, band, band, "valid", data_format="channels_last") for band in bands)
        shape = (-1, groups, size, size)
        left, right = ops.reshape(self.left(rows), shape), ops.reshape(self.right(columns), shape)
        return left / ops.sum(left, axis=-1, keepdims=True), right / ops.sum(right, axis=-2, keepdims=True)

    def call(self, x: Any, training: bool | None = None) -> Any:
        """Transform the narrower map and add it."""
        u = self.enter(x, training=training)
        left, right = self.transforms(u, training)
        size, (_, height, width, inner) = self.size, u.shape
        channels = inner // self.matrices
        parts = []
        for group in range(self.matrices):
            part = u[..., group * channels : (group + 1) * channels]
            bands = ops.reshape(part, (-1, size, height // size * width * channels))
            part = ops.matmul(left[:, group], bands)
            bands = ops.reshape(part, (-1, height, size, width // size * channels))
            part = ops.matmul(ops.transpose(right[:, group : group + 1], (0, 1, 3, 2)), bands)
            parts.append(ops.reshape(part, (-1, height, width, channels)))
        v = self.mixed(ops.concatenate(parts, axis=-1), training=training)
        y = x + self.drop(self.leave(v, training=training), training=training)
        return (y, left, right) if self.return_attention else y

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape, and those of P and Q where they are returned."""
        if not self.return_attention:
            return input_shape
        size = self._size(input_shape)
        matrices = (input_shape[0], self.matrices, size, size)
        return tuple(input_shape), matrices, matrices

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "reduction": self.reduction,
            "block_size": self.block_size,
            "matrices": self.matrices,
            "dropout": self.dropout,
            "return_attention": self.return_attention,
        }
