"""ABN: the attention branch."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kattn.layers.pieces.initial_weights import Kernel, kaiming_normal_fan_out
from kattn.layers.pieces.norms import batch_norm
from kattn.layers.pieces.pointwise import pointwise
from kattn.layers.pieces.widths import feature_map_channels


@keras.saving.register_keras_serializable("kattn")
class AttentionBranch(keras.Layer):
    """Class scores and one attention map from the features of a stage's copy at stride 1.

    F = relu(BN(W_k BN(x))), one channel a class
    logits = mean over height and width of W_l F
    M = sigmoid(BN(conv3x3(F))), one channel

    The network gates its own features g with the map: g * (1 + M).

    Args:
        classes: Number of classes.
        map_kernel_size: 3 as in the authors' code; the paper describes a 1x1 convolution.
        map_norm: Batch normalisation of the map. True as in the authors' code.

    Shapes: (batch, height, width, channels) to the pair (batch, classes), (batch, height, width, 1).
    Raises: ValueError for classes below 1, an even kernel, or an input that is no feature map.
    Paper: Fukui, Hirakawa, Yamashita, Fujiyoshi. Attention Branch Network: Learning of Attention Mechanism for Visual
        Explanation. CVPR 2019. arXiv:1812.10025
    Code: machine-perception-robotics-group/attention_branch_network
    """

    attention_output = 1  # of the outputs: the map

    def __init__(self, classes: int, map_kernel_size: int = 3, map_norm: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if classes < 1:
            raise ValueError(f"classes must be at least 1. Received: classes={classes}")
        if map_kernel_size % 2 == 0:
            raise ValueError(
                f"map_kernel_size must be odd, so that the map keeps its size. Received: {map_kernel_size}"
            )
        self.classes = classes
        self.map_kernel_size = map_kernel_size
        self.map_norm = map_norm

    def build(self, input_shape: Any) -> None:
        """Create the convolutions, all without bias, and their normalisations."""
        feature_map_channels(self, input_shape)
        common: dict[str, Any] = {"dtype": self.dtype_policy}
        classes_shape, window = (*input_shape[:-1], self.classes), self.map_kernel_size**2

        def conv(name: str, channels: int, filters: int, window: int = 1) -> dict[str, Any]:
            start = kaiming_normal_fan_out(Kernel(channels, filters, window))  # as in the authors' code
            return {"use_bias": False, "kernel_initializer": start, "name": name, **common}

        self.input_norm = batch_norm(name="input_bn", **common)
        self.input_norm.build(input_shape)
        self.class_conv = pointwise(self.classes, **conv("class_conv", input_shape[-1], self.classes))
        self.class_conv.build(input_shape)
        self.class_norm = batch_norm(name="class_bn", **common)
        self.class_norm.build(classes_shape)
        self.logits_conv = pointwise(self.classes, **conv("logits_conv", self.classes, self.classes))
        self.logits_conv.build(classes_shape)
        self.map_conv = keras.layers.Conv2D(
            1,
            self.map_kernel_size,
            padding="same",
            data_format="channels_last",
            **conv("map_conv", self.classes, 1, window),
        )
        self.map_conv.build(classes_shape)
        if self.map_norm:
            self.map_bn = batch_norm(name="map_bn", **common)
            self.map_bn.build((*input_shape[:-1], 1))

    def _features(self, x: Any, training: bool | None) -> Any:
        features = self.class_conv(self.input_norm(x, training=training))
        return ops.relu(self.class_norm(features, training=training))

    def class_maps(self, x: Any, training: bool | None = None) -> Any:
        """The maps whose means are the logits, (batch, height, width, classes): where each class, or attribute, is."""
        return self.logits_conv(self._features(x, training))

    def call(self, x: Any, training: bool | None = None) -> tuple[Any, Any]:
        """Logits and map."""
        features = self._features(x, training)
        logits = ops.mean(self.logits_conv(features), axis=(1, 2))
        attention = self.map_conv(features)
        if self.map_norm:
            attention = self.map_bn(attention, training=training)
        return logits, ops.sigmoid(attention)

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, Any]:
        """Shapes of logits and map."""
        return (input_shape[0], self.classes), (*input_shape[:-1], 1)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "classes": self.classes,
            "map_kernel_size": self.map_kernel_size,
            "map_norm": self.map_norm,
        }
