"""The pre-activation bottleneck, the unit that residual attention networks are made of."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kattn.layers.pieces.norms import batch_norm
from kattn.layers.pieces.pointwise import pointwise
from kattn.layers.pieces.widths import checked_reduction, feature_map_channels, hidden_width


@keras.saving.register_keras_serializable("kattn")
class PreActivationBottleneck(keras.Layer):
    """BN, ReLU, 1x1; BN, ReLU, 3x3; BN, ReLU, 1x1; added to the input.

    Where the shape changes the shortcut is a 1x1 convolution of the activated input. No convolution has a bias.

    Args:
        filters: Output channels.
        strides: Stride of the 3x3 convolution and of the shortcut.
        reduction: Width of the 3x3 convolution is filters // reduction, at least 1.

    Shapes: (batch, height, width, channels) to (batch, ceil(height / strides), ceil(width / strides), filters);
        17/16 C^2 + 3 C parameters where all is C wide.
    Raises: ValueError for filters or strides below 1, or an input that is no feature map.
    Paper: He, Zhang, Ren, Sun. Identity Mappings in Deep Residual Networks. ECCV 2016. arXiv:1603.05027
    """

    def __init__(self, filters: int, strides: int = 1, reduction: int = 4, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if min(filters, strides) < 1:
            raise ValueError(f"filters and strides must be at least 1. Received: filters={filters}, strides={strides}")
        self.filters = filters
        self.strides = strides
        self.reduction = checked_reduction(reduction)

    def build(self, input_shape: Any) -> None:
        """Create the three convolutions, their normalisations and, where the shape changes, the shortcut."""
        channels = feature_map_channels(self, input_shape)
        width = hidden_width(self.filters, self.reduction)
        common: dict[str, Any] = {"dtype": self.dtype_policy}
        conv: dict[str, Any] = {"use_bias": False, "kernel_initializer": "he_normal", **common}

        def norm(name: str, size: int) -> keras.Layer:
            layer = batch_norm(name=name, **common)
            layer.build((None, None, None, size))
            return layer

        self.norm1, self.norm2, self.norm3 = norm("bn1", channels), norm("bn2", width), norm("bn3", width)
        self.conv1 = pointwise(width, name="conv1", **conv)
        self.conv1.build((None, None, None, channels))
        # Keras pads alike on all sides only at stride 1.
        padding = "same" if self.strides == 1 else "valid"
        self.conv2 = keras.layers.Conv2D(
            width, 3, strides=self.strides, padding=padding, data_format="channels_last", name="conv2", **conv
        )
        self.conv2.build((None, None, None, width))
        self.conv3 = pointwise(self.filters, name="conv3", **conv)
        self.conv3.build((None, None, None, width))
        self.shortcut = None
        if self.strides > 1 or channels != self.filters:
            self.shortcut = pointwise(self.filters, strides=self.strides, name="shortcut", **conv)
            self.shortcut.build((None, None, None, channels))

    def call(self, x: Any, training: bool | None = None) -> Any:
        """Add the bottleneck of x to x."""
        activated = ops.relu(self.norm1(x, training=training))
        y = ops.relu(self.norm2(self.conv1(activated), training=training))
        if self.strides > 1:
            y = ops.pad(y, ((0, 0), (1, 1), (1, 1), (0, 0)))
        y = self.conv2(y)
        y = self.conv3(ops.relu(self.norm3(y, training=training)))
        return y + (x if self.shortcut is None else self.shortcut(activated))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Sizes divided by the stride, rounded up, and the new number of channels."""
        batch, *sides, _ = input_shape
        return batch, *(None if side is None else -(-side // self.strides) for side in sides), self.filters

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "strides": self.strides,
            "reduction": self.reduction,
        }
