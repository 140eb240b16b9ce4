"""A 1x1 convolution that computes as a dense layer where the map is a single row."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kattn.layers.pieces.portable import portable


def pointwise(filters: int, **kwargs: Any) -> PointwiseConv2D:
    """A 1x1 convolution; on a pooled (batch, 1, 1, channels) map it is a dense layer that exports cleanly."""
    return PointwiseConv2D(filters, 1, data_format="channels_last", **kwargs)


@keras.saving.register_keras_serializable("kattn")
class PointwiseConv2D(keras.layers.Conv2D):
    """Keras's 1x1 Conv2D, as the matrix product that it is where the map has one row, as pooled maps have.

    There a processor takes a tenth longer for the convolution than for the product, and twice as long for its
    gradients. Exported files (see `portable_graphs`) hold the convolution: one node, no reshapes. Weights, options and
    numbers are Conv2D's.

    Shapes: (batch, height, width, channels) to (batch, new height, new width, filters); channels last only.
    """

    def call(self, x: Any) -> Any:
        """Convolve or multiply, add the bias, activate."""
        _, height, width, channels = x.shape
        plain = self.kernel_size == self.strides == (1, 1) and self.groups == 1
        if height != 1 or width is None or not plain or portable():
            return super().call(x)
        y = ops.matmul(ops.reshape(x, (-1, channels)), ops.reshape(self.kernel, (channels, self.filters)))
        y = ops.reshape(y + self.bias if self.use_bias else y, (-1, 1, width, self.filters))
        return self.activation(y) if self.activation is not None else y
