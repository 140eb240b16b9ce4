"""The bottleneck of ResNeXt as one layer, the unit that AttentionNeXt is made of."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kattn.layers.pieces.grouped import GroupedConv2D
from kattn.layers.pieces.norms import batch_norm
from kattn.layers.pieces.pointwise import pointwise
from kattn.layers.pieces.widths import checked_reduction, feature_map_channels, hidden_width


@keras.saving.register_keras_serializable("kattn")
class AggregatedBottleneck(keras.Layer):
    """1x1, BN, ReLU; 3x3 in groups, BN, ReLU; 1x1, BN; added to the input; ReLU.

    Where the shape changes the shortcut is a 1x1 convolution and BN. No convolution has a bias.

    Args:
        filters: Output channels.
        strides: Stride of the 3x3 convolution and of the shortcut.
        groups: Of the 3x3 convolution; they divide its width.
        reduction: Width of the 3x3 convolution is filters // reduction, at least 1.

    Shapes: (batch, height, width, channels) to (batch, ceil(height / strides), ceil(width / strides), filters).
    Raises: ValueError for filters or strides below 1, groups that do not divide the width, or an input that is no
        feature map.
    Paper: Xie, Girshick, Dollar, Tu, He. Aggregated Residual Transformations. CVPR 2017. arXiv:1611.05431
    """

    def __init__(self, filters: int, strides: int = 1, groups: int = 32, reduction: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if min(filters, strides, groups) < 1:
            raise ValueError(
                "filters, strides and groups must be at least 1. "
                f"Received: filters={filters}, strides={strides}, groups={groups}"
            )
        width = hidden_width(filters, reduction)
        if width % groups:
            raise ValueError(f"groups must divide the width {width}, filters // reduction. Received: groups={groups}")
        self.filters = filters
        self.strides = strides
        self.groups = groups
        self.reduction = checked_reduction(reduction)

    def build(self, input_shape: Any) -> None:
        """Create the three convolutions, their normalisations and, where the shape changes, the shortcut."""
        channels = feature_map_channels(self, input_shape)
        width = hidden_width(self.filters, self.reduction)
        common: dict[str, Any] = {"dtype": self.dtype_policy}
        conv: dict[str, Any] = {"use_bias": False, "kernel_initializer": "he_normal", **common}

        def built(layer: keras.Layer, size: int) -> Any:
            layer.build((None, None, None, size))
            return layer

        self.conv1 = built(pointwise(width, name="conv1", **conv), channels)
        self.norm1 = built(batch_norm(name="bn1", **common), width)
        spatial = GroupedConv2D if self.groups > 1 else keras.layers.Conv2D
        options: dict[str, Any] = {"groups": self.groups, "strides": self.strides, "data_format": "channels_last"}
        self.conv2 = built(spatial(width, 3, name="conv2", **options, **conv), width)
        self.norm2 = built(batch_norm(name="bn2", **common), width)
        self.conv3 = built(pointwise(self.filters, name="conv3", **conv), width)
        self.norm3 = built(batch_norm(name="bn3", **common), self.filters)
        self.shortcut = None
        if self.strides > 1 or channels != self.filters:
            self.shortcut = built(pointwise(self.filters, strides=self.strides, name="shortcut", **conv), channels)
            self.shortcut_norm = built(batch_norm(name="shortcut_bn", **common), self.filters)

    def call(self, x: Any, training: bool | None = None) -> Any:
        """Add the bottleneck of x to x."""
        y = ops.relu(self.norm1(self.conv1(x), training=training))
        y = self.conv2(ops.pad(y, ((0, 0), (1, 1), (1, 1), (0, 0))))
        y = self.norm3(self.conv3(ops.relu(self.norm2(y, training=training))), training=training)
        if self.shortcut is not None:
            x = self.shortcut_norm(self.shortcut(x), training=training)
        return ops.relu(x + y)

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
            "groups": self.groups,
            "reduction": self.reduction,
        }
