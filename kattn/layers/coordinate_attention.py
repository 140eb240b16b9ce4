"""Coordinate attention: a gate a row and a gate a column of each channel."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kattn.layers.pieces.norms import batch_norm
from kattn.layers.pieces.pointwise import pointwise
from kattn.layers.pieces.widths import checked_reduction, feature_map_channels, hidden_width


@keras.saving.register_keras_serializable("kattn")
class CoordinateAttention(keras.Layer):
    """A gate for each row and one for each column of every channel, from the means along the other side.

    u = [mean of x over the width; mean of x over the height], one below the other
    v = hard_swish(BN(W1 u + b1)), hard_swish(a) = a min(max(a + 3, 0), 6) / 6
    gh = sigmoid(Wh v + bh) of the rows of v that are rows of x, gw = sigmoid(Ww v + bw) of the others
    y = x * gh * gw

    Args:
        reduction: Hidden width is channels // reduction, at least `min_hidden`.
        min_hidden: Smallest hidden width.
        use_bias: Biases of the three 1x1 convolutions. True as in the authors' code; timm's has none.
        return_attention: Also return the gate gh * gw, (batch, height, width, channels).

    Shapes: (batch, height, width, channels) in and out.
    Raises: ValueError for a reduction or a smallest width below 1, or an input that is no feature map.
    Paper: Hou, Zhou, Feng. Coordinate Attention for Efficient Mobile Network Design. CVPR 2021. arXiv:2103.02907
    Code: houqb/CoordAttention
    """

    def __init__(
        self,
        reduction: int = 32,
        min_hidden: int = 8,
        use_bias: bool = True,
        return_attention: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if min_hidden < 1:
            raise ValueError(f"min_hidden must be at least 1. Received: min_hidden={min_hidden}")
        self.reduction = checked_reduction(reduction)
        self.min_hidden = min_hidden
        self.use_bias = use_bias
        self.return_attention = return_attention

    def build(self, input_shape: Any) -> None:
        """Create the shared convolution with its normalisation, and the convolution of each side."""
        channels = feature_map_channels(self, input_shape)
        hidden = max(self.min_hidden, hidden_width(channels, self.reduction))
        common: dict[str, Any] = {"use_bias": self.use_bias, "dtype": self.dtype_policy}
        self.reduce = pointwise(hidden, name="reduce", **common)
        self.reduce.build((None, None, 1, channels))
        self.norm = batch_norm(dtype=self.dtype_policy, name="norm")
        self.norm.build((None, None, 1, hidden))
        self.rows = pointwise(channels, activation="sigmoid", name="rows", **common)
        self.columns = pointwise(channels, activation="sigmoid", name="columns", **common)
        for side in (self.rows, self.columns):
            side.build((None, None, 1, hidden))

    def call(self, x: Any, training: bool | None = None) -> Any:
        """Gate the rows and the columns of x."""
        height, width = ops.shape(x)[1:3]
        means = ops.mean(x, axis=2, keepdims=True), ops.transpose(ops.mean(x, axis=1, keepdims=True), (0, 2, 1, 3))
        # Both sides have one normalisation, so in training its statistics are those of all rows and columns.
        both = self.norm(self.reduce(ops.concatenate(means, axis=1)), training=training)
        both = keras.activations.hard_silu(both)
        of_rows, of_columns = both[:, :height], ops.transpose(both[:, height : height + width], (0, 2, 1, 3))
        rows, columns = self.rows(of_rows), self.columns(of_columns)
        y = x * rows * columns
        return (y, rows * columns) if self.return_attention else y

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape, twice where the gate is returned."""
        return (tuple(input_shape), tuple(input_shape)) if self.return_attention else input_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "reduction": self.reduction,
            "min_hidden": self.min_hidden,
            "use_bias": self.use_bias,
            "return_attention": self.return_attention,
        }
