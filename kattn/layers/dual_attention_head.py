"""DANet's segmentation head: a position branch, a channel branch and their sum."""

from __future__ import annotations

from typing import Any

import keras

from kattn.layers.dual_attention import ChannelSelfAttention, PositionAttention
from kattn.layers.pieces.conv_norm import ConvNormActivation
from kattn.layers.pieces.pointwise import pointwise
from kattn.layers.pieces.widths import checked_reduction, feature_map_channels, hidden_width


@keras.saving.register_keras_serializable("kattn")
class DualAttentionHead(keras.Layer):
    """Position and channel attention side by side, each with a prediction of its own and one for their sum.

    p = cbr(PAM(cbr(x)));  c = cbr(CAM(cbr(x)))        (cbr: 3x3 convolution, batch normalisation, ReLU)
    outputs: classify(p + c), classify(p), classify(c)  (each: channel dropout and a 1x1 convolution of its own)

    The first output is the prediction; the other two are for training, each with a loss.

    Args:
        classes: Channels of the outputs; None returns p + c, p and c themselves, without dropout.
        channels: Width of both branches; None for a quarter of the input's, at least 1.
        reduction: Of the queries and keys in the position attention.
        negate: Of the channel attention: True as in the code, False as in the paper.
        auxiliary: False leaves out the outputs of the single branches.
        dropout: Rate at which whole channels are dropped before the classifiers, in [0, 1).
        seed: Of the dropout.
        return_attention: Also return the position attention's map, then the channel attention's, as the last outputs.

    Shapes: (batch, height, width, channels) to three, or with auxiliary=False one, of (batch, height, width, classes).
    Memory: N^2 + channels^2 values of attention a sample (N = H W), see PositionAttention.
    Raises: ValueError for an input that is no feature map.
    Paper: Fu, Liu, Tian, Li, Bao, Fang, Lu. Dual Attention Network for Scene Segmentation. CVPR 2019. arXiv:1809.02983
    Code: junfu1115/DANet
    """

    attention_kind = ("affinity", "channels")  # for pictures: (N, N) and (C, C) cannot be told apart where N = C

    def __init__(
        self,
        classes: int | None = None,
        channels: int | None = None,
        reduction: int = 8,
        negate: bool = True,
        auxiliary: bool = True,
        dropout: float = 0.1,
        seed: int | None = None,
        return_attention: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.classes = classes
        self.channels = channels
        self.reduction = checked_reduction(reduction)
        self.negate = negate
        self.auxiliary = auxiliary
        self.dropout = dropout
        self.seed = seed
        self.return_attention = return_attention

    def build(self, input_shape: Any) -> None:
        """Create both branches and their classifiers."""
        channels = self.channels or hidden_width(feature_map_channels(self, input_shape), 4)
        inner = (*input_shape[:-1], channels)
        common: dict[str, Any] = {"dtype": self.dtype_policy}
        self.position_in = ConvNormActivation(channels, 3, name="position_in", **common)
        self.position = PositionAttention(
            self.reduction, return_attention=self.return_attention, name="position", **common
        )
        self.position_out = ConvNormActivation(channels, 3, name="position_out", **common)
        self.channel_in = ConvNormActivation(channels, 3, name="channel_in", **common)
        self.channel = ChannelSelfAttention(
            self.negate, return_attention=self.return_attention, name="channel", **common
        )
        self.channel_out = ConvNormActivation(channels, 3, name="channel_out", **common)
        self.position_in.build(input_shape)
        self.channel_in.build(input_shape)
        for layer in (self.position, self.position_out, self.channel, self.channel_out):
            layer.build(inner)
        self.classifiers: list[Any] = []
        if self.classes is not None:
            self.drop = keras.layers.SpatialDropout2D(
                self.dropout, data_format="channels_last", seed=self.seed, name="drop", **common
            )
            for name in ("sum", "position", "channel")[: 3 if self.auxiliary else 1]:
                classifier = pointwise(self.classes, name=f"{name}_logits", **common)
                classifier.build(inner)
                self.classifiers.append(classifier)

    def call(self, x: Any, training: bool | None = None) -> Any:
        """The sum's output, then those of the branches."""
        p = self.position(self.position_in(x, training=training), training=training)
        c = self.channel(self.channel_in(x, training=training))
        maps = []
        if self.return_attention:
            (p, position_map), (c, channel_map) = p, c
            maps = [position_map, channel_map]
        p, c = self.position_out(p, training=training), self.channel_out(c, training=training)
        outputs = [p + c, p, c][: 3 if self.auxiliary else 1]
        if self.classes is not None:
            pairs = zip(self.classifiers, outputs, strict=True)
            outputs = [classify(self.drop(y, training=training)) for classify, y in pairs]
        outputs += maps
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """One shape, or three alike; then the maps' where they are returned."""
        batch, height, width, channels = input_shape
        inner = self.channels or hidden_width(channels, 4)
        shapes: list[Any] = [(batch, height, width, self.classes or inner)] * (3 if self.auxiliary else 1)
        if self.return_attention:
            n = None if height is None or width is None else height * width
            shapes += [(batch, n, n), (batch, inner, inner)]
        return shapes[0] if len(shapes) == 1 else tuple(shapes)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "classes": self.classes,
            "channels": self.channels,
            "reduction": self.reduction,
            "negate": self.negate,
            "auxiliary": self.auxiliary,
            "dropout": self.dropout,
            "seed": self.seed,
            "return_attention": self.return_attention,
        }
