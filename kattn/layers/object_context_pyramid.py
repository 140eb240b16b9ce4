"""OCNet's pyramid-OC: context within ever smaller tiles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kattn.layers.object_attention import ObjectAttention
from kattn.layers.pieces.conv_norm import ABN_SLOPE, ConvNormActivation
from kattn.layers.pieces.widths import feature_map_channels


@keras.saving.register_keras_serializable("kattn")
class PyramidObjectContext(keras.Layer):
    """Context from the whole map and from its tiles, fused with the widened map (OCNet's pyramid-OC).

    y = dropout(abn(concat(abn'(x), c_1, ..., c_S)));   c_s = ObjectAttention(x) within tiles[s] x tiles[s] tiles
    abn: 1x1 convolution with bias, batch normalisation, leaky ReLU of slope 0.01; abn' widens x to S channels times

    Args:
        filters: Channels of y; None for the input's.
        tiles: One attention stage each; the last row and column of tiles take the remainder of the map.
        key_channels: Of the shared queries and keys; None for half the input's, at least 1.
        value_channels: Of the values; None for as many as the input.
        dropout: Rate at which whole channels of y are dropped, in [0, 1).
        negative_slope: Of the leaky ReLUs.
        block: Queries whose attention is held at once, see PositionAttention.
        seed: Of the dropout.
        return_attention: Also return every tile's A, stage after stage and in each row by row.

    Shapes: (batch, height, width, channels) to (batch, height, width, filters). Where a side is not known in advance it
        must be at least the largest number of tiles.
    Memory: the sum over stages of N^2 / tiles^2 values of A a sample (N = H W): 1.39 N^2 for the four default ones.
    Raises: ValueError for no stage, tiles below 1, or an input that is no feature map.
    Paper: Yuan, Wang. OCNet: Object Context Network for Scene Parsing. 2018. arXiv:1809.00916v1
    Code: openseg-group/OCNet.pytorch
    """

    def __init__(
        self,
        filters: int | None = None,
        tiles: Sequence[int] = (1, 2, 3, 6),
        key_channels: int | None = None,
        value_channels: int | None = None,
        dropout: float = 0.05,
        negative_slope: float = ABN_SLOPE,
        block: int | None = None,
        seed: int | None = None,
        return_attention: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not tiles or min(tiles) < 1:
            raise ValueError(f"tiles must be one or more integers of at least 1. Received: tiles={tiles}")
        self.filters = filters
        self.tiles = tuple(tiles)
        self.key_channels = key_channels
        self.value_channels = value_channels
        self.dropout = dropout
        self.negative_slope = negative_slope
        self.block = block
        self.seed = seed
        self.return_attention = return_attention

    def build(self, input_shape: Any) -> None:
        """Create the stages, the widening and the fusion."""
        channels = feature_map_channels(self, input_shape)
        common: dict[str, Any] = {"negative_slope": self.negative_slope, "dtype": self.dtype_policy}
        self.stages = [self._stage(channels, tiles, f"stage{i}", common) for i, tiles in enumerate(self.tiles)]
        for stage in self.stages:
            stage.build(input_shape)
        self.widen = ConvNormActivation(channels * len(self.tiles), use_bias=True, name="widen", **common)
        self.widen.build(input_shape)
        self.fuse = ConvNormActivation(self.filters or channels, use_bias=True, name="fuse", **common)
        self.fuse.build((*input_shape[:-1], 2 * channels * len(self.tiles)))
        self.drop = keras.layers.SpatialDropout2D(
            self.dropout, data_format="channels_last", seed=self.seed, name="drop", dtype=self.dtype_policy
        )

    def _stage(self, channels: int, tiles: int, name: str, common: dict[str, Any]) -> ObjectAttention:
        return ObjectAttention(
            channels,
            self.key_channels,
            self.value_channels or channels,
            tiles=tiles,
            block=self.block,
            return_attention=self.return_attention,
            name=name,
            **common,
        )

    def call(self, x: Any, training: bool | None = None) -> Any:
        """Gather within the tiles of every stage, fuse."""
        contexts = [self.widen(x, training=training)]
        maps: list[Any] = []
        for stage in self.stages:
            context = stage(x, training=training)
            context, *attention = context if self.return_attention else (context,)
            contexts.append(context)
            maps += attention
        y = self.drop(self.fuse(ops.concatenate(contexts, axis=-1), training=training), training=training)
        return (y, *maps) if self.return_attention else y

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape with the new channels, and those of the maps where they are returned."""
        channels = input_shape[-1]
        y = (*input_shape[:-1], self.filters or channels)
        if not self.return_attention:
            return y
        stages = [self._stage(channels, tiles, "shape_only", {}) for tiles in self.tiles]
        return (y, *[shape for stage in stages for shape in stage.compute_output_shape(input_shape)[1:]])

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "tiles": self.tiles,
            "key_channels": self.key_channels,
            "value_channels": self.value_channels,
            "dropout": self.dropout,
            "negative_slope": self.negative_slope,
            "block": self.block,
            "seed": self.seed,
            "return_attention": self.return_attention,
        }
