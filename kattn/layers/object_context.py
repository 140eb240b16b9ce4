"""OCNet's base-OC: the context of like positions beside the map itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kattn.layers.object_attention import ObjectAttention
from kattn.layers.pieces.conv_norm import ABN_SLOPE, ConvNormActivation
from kattn.layers.pieces.widths import feature_map_channels


@keras.saving.register_keras_serializable("kattn")
class ObjectContext(keras.Layer):
    """Context gathered from all positions, fused with the map (OCNet's base-OC).

    c = sum over scales of ObjectAttention(x)
    y = dropout(abn(concat(c, x)))      (concat=True, base-OC)
    y = dropout(abn(c))                 (concat=False, the variant inside ASP-OC)
    abn: 1x1 convolution with bias, batch normalisation, leaky ReLU of slope 0.01

    Args:
        filters: Channels of y; None for the input's.
        key_channels: Of the shared queries and keys; None for half the input's, at least 1.
        value_channels: Of the values; None for as many as the keys.
        scales: One attention stage each; a scale above 1 max-pools its input and enlarges its context back. Half the
            size is a sixteenth of the memory.
        concat: Fuse the context with x, or use it alone.
        dropout: Rate at which whole channels of y are dropped, in [0, 1). The authors' base-OC has 0.05.
        negative_slope: Of the leaky ReLUs.
        block: Queries whose attention is held at once, see PositionAttention.
        seed: Of the dropout.
        return_attention: Also return each stage's A, (batch, n, n).

    Shapes: (batch, height, width, channels) to (batch, height, width, filters). With scales (1,), moving whole
        positions about moves the output alike.
    Memory: the sum over scales of N^2 / scale^4 values of A a sample (N = H W), block * N in place of each above 2^24
        (in training 2^27).
    Raises: ValueError for no scale, one below 1, or an input that is no feature map or smaller than a scale.
    Paper: Yuan, Wang. OCNet: Object Context Network for Scene Parsing. 2018. arXiv:1809.00916v1
    Code: openseg-group/OCNet.pytorch, which fails unless the input and the output have as many channels.
    """

    def __init__(
        self,
        filters: int | None = None,
        key_channels: int | None = None,
        value_channels: int | None = None,
        scales: Sequence[int] = (1,),
        concat: bool = True,
        dropout: float = 0.05,
        negative_slope: float = ABN_SLOPE,
        block: int | None = None,
        seed: int | None = None,
        return_attention: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not scales or min(scales) < 1:
            raise ValueError(f"scales must be one or more integers of at least 1. Received: scales={scales}")
        self.filters = filters
        self.key_channels = key_channels
        self.value_channels = value_channels
        self.scales = tuple(scales)
        self.concat = concat
        self.dropout = dropout
        self.negative_slope = negative_slope
        self.block = block
        self.seed = seed
        self.return_attention = return_attention

    def build(self, input_shape: Any) -> None:
        """Create the stages and the fusion."""
        channels = feature_map_channels(self, input_shape)
        common: dict[str, Any] = {"negative_slope": self.negative_slope, "dtype": self.dtype_policy}
        self.stages = [
            ObjectAttention(
                channels,
                self.key_channels,
                self.value_channels,
                scale=scale,
                block=self.block,
                return_attention=self.return_attention,
                name=f"stage{i}",
                **common,
            )
            for i, scale in enumerate(self.scales)
        ]
        for stage in self.stages:
            stage.build(input_shape)
        self.fuse = ConvNormActivation(self.filters or channels, use_bias=True, name="fuse", **common)
        self.fuse.build((*input_shape[:-1], 2 * channels if self.concat else channels))
        self.drop = keras.layers.SpatialDropout2D(
            self.dropout, data_format="channels_last", seed=self.seed, name="drop", dtype=self.dtype_policy
        )

    def call(self, x: Any, training: bool | None = None) -> Any:
        """Gather at every scale, fuse."""
        contexts: list[Any] = []
        maps: list[Any] = []
        for stage in self.stages:
            context = stage(x, training=training)
            context, *attention = context if self.return_attention else (context,)
            contexts.append(context)
            maps += attention
        context = sum(contexts[1:], contexts[0])
        y = self.fuse(ops.concatenate([context, x], axis=-1) if self.concat else context, training=training)
        y = self.drop(y, training=training)
        return (y, *maps) if self.return_attention else y

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape with the new channels, and those of the maps where they are returned."""
        batch, height, width, channels = input_shape
        y = (batch, height, width, self.filters or channels)
        if not self.return_attention:
            return y
        sides = [(height // s, width // s) if height and width else None for s in self.scales]
        counts = [None if side is None else side[0] * side[1] for side in sides]
        return (y, *[(batch, n, n) for n in counts])

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "key_channels": self.key_channels,
            "value_channels": self.value_channels,
            "scales": self.scales,
            "concat": self.concat,
            "dropout": self.dropout,
            "negative_slope": self.negative_slope,
            "block": self.block,
            "seed": self.seed,
            "return_attention": self.return_attention,
        }
