"""OCNet's ASP-OC: object context beside dilated convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kattn.layers.object_context import ObjectContext
from kattn.layers.pieces.conv_norm import ABN_SLOPE, ConvNormActivation
from kattn.layers.pieces.widths import feature_map_channels, hidden_width


@keras.saving.register_keras_serializable("kattn")
class ASPObjectContext(keras.Layer):
    """Context, a 1x1 convolution and dilated 3x3 convolutions side by side (OCNet's ASP-OC).

    y = dropout(abn(concat(OC(abn3(x)), abn(x), abn3 dilated by d(x) for each d)))
    OC: ObjectContext on the half-size map, without concat
    abn: convolution, batch normalisation, leaky ReLU of slope 0.01

    Args:
        filters: Width of every branch.
        dilations: Of the 3x3 convolutions.
        key_channels: Of the context's queries and keys; None for half the filters, at least 1.
        value_channels: Of its values; None for the filters.
        output_channels: Of y; None for twice the filters.
        scales: Of the context's attention stages, see ObjectContext.
        dropout: Rate at which whole channels of y are dropped, in [0, 1).
        negative_slope: Of the leaky ReLUs.
        block: Queries whose attention is held at once, see PositionAttention.
        seed: Of the dropout.
        return_attention: Also return the A of each of the context's stages, (batch, n, n).

    Shapes: (batch, height, width, channels) to (batch, height, width, output_channels).
    Memory: N^2 / 16 values of A a sample with the default scale of 2, N = H W.
    Raises: ValueError for no scale, one below 1, or an input that is no feature map or smaller than a scale.
    Paper: Yuan, Wang. OCNet: Object Context Network for Scene Parsing. 2018. arXiv:1809.00916v1
    Code: openseg-group/OCNet.pytorch. Of the first convolutions only the context's has a bias, as there.
    """

    def __init__(
        self,
        filters: int = 256,
        dilations: Sequence[int] = (12, 24, 36),
        key_channels: int | None = None,
        value_channels: int | None = None,
        output_channels: int | None = None,
        scales: Sequence[int] = (2,),
        dropout: float = 0.1,
        negative_slope: float = ABN_SLOPE,
        block: int | None = None,
        seed: int | None = None,
        return_attention: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        self.dilations = tuple(dilations)
        self.key_channels = key_channels
        self.value_channels = value_channels
        self.output_channels = output_channels
        self.scales = tuple(scales)
        self.dropout = dropout
        self.negative_slope = negative_slope
        self.block = block
        self.seed = seed
        self.return_attention = return_attention
        self.context = self._context()

    def _context(self) -> ObjectContext:
        return ObjectContext(
            self.filters,
            self.key_channels or hidden_width(self.filters, 2),
            self.value_channels or self.filters,
            scales=self.scales,
            concat=False,
            dropout=0.0,
            negative_slope=self.negative_slope,
            block=self.block,
            return_attention=self.return_attention,
            name="context",
            dtype=self.dtype_policy,
        )

    def build(self, input_shape: Any) -> None:
        """Create the branches and the fusion."""
        feature_map_channels(self, input_shape)
        branch = (*input_shape[:-1], self.filters)
        common: dict[str, Any] = {"negative_slope": self.negative_slope, "dtype": self.dtype_policy}
        self.context_in = ConvNormActivation(self.filters, 3, use_bias=True, name="context_in", **common)
        self.context_in.build(input_shape)
        self.context.build(branch)
        self.branches = [ConvNormActivation(self.filters, name="point", **common)]
        for i, dilation in enumerate(self.dilations):
            self.branches.append(ConvNormActivation(self.filters, 3, dilation, name=f"dilated{i}", **common))
        for layer in self.branches:
            layer.build(input_shape)
        self.fuse = ConvNormActivation(self.output_channels or 2 * self.filters, name="fuse", **common)
        self.fuse.build((*input_shape[:-1], self.filters * (1 + len(self.branches))))
        self.drop = keras.layers.SpatialDropout2D(
            self.dropout, data_format="channels_last", seed=self.seed, name="drop", dtype=self.dtype_policy
        )

    def call(self, x: Any, training: bool | None = None) -> Any:
        """All branches side by side, fused."""
        context = self.context(self.context_in(x, training=training), training=training)
        context, *maps = context if self.return_attention else (context,)
        parts = [context, *(layer(x, training=training) for layer in self.branches)]
        y = self.drop(self.fuse(ops.concatenate(parts, axis=-1), training=training), training=training)
        return (y, *maps) if self.return_attention else y

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape with the new channels, and those of the maps where they are returned."""
        y = (*input_shape[:-1], self.output_channels or 2 * self.filters)
        if not self.return_attention:
            return y
        return (y, *self.context.compute_output_shape((*input_shape[:-1], self.filters))[1:])

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "dilations": self.dilations,
            "key_channels": self.key_channels,
            "value_channels": self.value_channels,
            "output_channels": self.output_channels,
            "scales": self.scales,
            "dropout": self.dropout,
            "negative_slope": self.negative_slope,
            "block": self.block,
            "seed": self.seed,
            "return_attention": self.return_attention,
        }
