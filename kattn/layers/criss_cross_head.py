"""CCNet's segmentation head: recurrent criss-cross attention (RCCA) between convolutions."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kattn.layers.criss_cross import CrissCrossAttention
from kattn.layers.pieces.conv_norm import ABN_SLOPE, ConvNormActivation
from kattn.layers.pieces.pointwise import pointwise
from kattn.layers.pieces.widths import checked_reduction, feature_map_channels, hidden_width


@keras.saving.register_keras_serializable("kattn")
class CrissCrossHead(keras.Layer):
    """Criss-cross attention on a narrowed map, fused with the wide one (CCNet's RCCA module).

    a = abn(CCA(abn(x)));   y = classify(dropout(abn([x, a])))
    abn: 3x3 convolution, batch normalisation, leaky ReLU of slope 0.01

    Args:
        classes: Channels of the output; None returns the fused map, without dropout and classifier.
        channels: Width of the attention; None for a quarter of the input's, at least 1.
        fused_channels: Width of the fused map; None for that of the attention (the authors' code has 512).
        recurrence: Times the criss-cross attention is applied, see CrissCrossAttention.
        reduction: Of its queries and keys.
        negative_slope: Of the leaky ReLUs, 0.01 in the code.
        dropout: Rate at which whole channels are dropped before the classifier, in [0, 1).
        seed: Of the dropout.
        return_attention: Also return the weights of each recurrence, see CrissCrossAttention.

    Shapes: (batch, height, width, channels) to (batch, height, width, classes or fused_channels).
    Memory: N (H + W) weights a sample and recurrence, N = H W.
    Raises: ValueError for a recurrence below 1, or an input that is no feature map.
    Paper: Huang, Wang, Huang, Huang, Wei, Liu. CCNet: Criss-Cross Attention for Semantic Segmentation. ICCV 2019.
        arXiv:1811.11721
    Code: speedinghzl/CCNet
    """

    def __init__(
        self,
        classes: int | None = None,
        channels: int | None = None,
        fused_channels: int | None = None,
        recurrence: int = 2,
        reduction: int = 8,
        negative_slope: float = ABN_SLOPE,
        dropout: float = 0.1,
        seed: int | None = None,
        return_attention: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if recurrence < 1:
            raise ValueError(f"recurrence must be at least 1. Received: recurrence={recurrence}")
        self.classes = classes
        self.channels = channels
        self.fused_channels = fused_channels
        self.recurrence = recurrence
        self.reduction = checked_reduction(reduction)
        self.negative_slope = negative_slope
        self.dropout = dropout
        self.seed = seed
        self.return_attention = return_attention

    def build(self, input_shape: Any) -> None:
        """Create the convolutions, the attention and the classifier."""
        wide = feature_map_channels(self, input_shape)
        channels = self.channels or hidden_width(wide, 4)
        fused = self.fused_channels or channels
        common: dict[str, Any] = {"dtype": self.dtype_policy}
        abn: dict[str, Any] = {"kernel_size": 3, "negative_slope": self.negative_slope, **common}
        self.reduce = ConvNormActivation(channels, name="reduce", **abn)
        self.attention = CrissCrossAttention(
            self.reduction,
            self.recurrence,
            return_attention=self.return_attention,
            name="attention",
            **common,
        )
        self.refine = ConvNormActivation(channels, name="refine", **abn)
        self.fuse = ConvNormActivation(fused, name="fuse", **abn)
        self.reduce.build(input_shape)
        self.attention.build((*input_shape[:-1], channels))
        self.refine.build((*input_shape[:-1], channels))
        self.fuse.build((*input_shape[:-1], wide + channels))
        if self.classes is not None:
            self.drop = keras.layers.SpatialDropout2D(
                self.dropout, data_format="channels_last", seed=self.seed, name="drop", **common
            )
            self.classify = pointwise(self.classes, name="classify", **common)
            self.classify.build((*input_shape[:-1], fused))

    def call(self, x: Any, training: bool | None = None) -> Any:
        """Narrow, attend, refine, fuse, classify."""
        y = self.attention(self.reduce(x, training=training))
        y, *maps = y if self.return_attention else (y,)
        y = self.fuse(ops.concatenate([x, self.refine(y, training=training)], axis=-1), training=training)
        if self.classes is not None:
            y = self.classify(self.drop(y, training=training))
        return (y, *maps) if self.return_attention else y

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape with the classes as channels, and those of the weights where they are returned."""
        batch, height, width, channels = input_shape
        y = (batch, height, width, self.classes or self.fused_channels or self.channels or hidden_width(channels, 4))
        if not self.return_attention:
            return y
        cross = None if height is None or width is None else height + width
        return (y, *[(batch, height, width, cross)] * self.recurrence)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "classes": self.classes,
            "channels": self.channels,
            "fused_channels": self.fused_channels,
            "recurrence": self.recurrence,
            "reduction": self.reduction,
            "negative_slope": self.negative_slope,
            "dropout": self.dropout,
            "seed": self.seed,
            "return_attention": self.return_attention,
        }
