"""OCNet's attention stage: one projection for queries and keys, over the whole map or within tiles."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kattn.layers.pieces.align_corners import resize_align_corners
from kattn.layers.pieces.attend import attend
from kattn.layers.pieces.conv_norm import ABN_SLOPE, ConvNormActivation
from kattn.layers.pieces.pointwise import pointwise
from kattn.layers.pieces.widths import feature_map_channels, hidden_width


def to_tiles(x: Any, down: int, across: int) -> Any:
    """(b, H, W, c) cut into down x across equal tiles, each a sample of positions: (b * down * across, th * tw, c)."""
    _, height, width, channels = ops.shape(x)
    th, tw = height // down, width // across
    x = ops.transpose(ops.reshape(x, (-1, th, across, tw * channels)), (0, 2, 1, 3))
    return ops.reshape(x, (-1, th * tw, channels))


def from_tiles(x: Any, height: Any, width: Any, down: int, across: int) -> Any:
    """The inverse of to_tiles."""
    th, tw, channels = height // down, width // across, ops.shape(x)[-1]
    x = ops.transpose(ops.reshape(x, (-1, across, th, tw * channels)), (0, 2, 1, 3))
    return ops.reshape(x, (-1, height, width, channels))


def bands(size: Any, tiles: int) -> list[tuple[int, Any, Any]]:
    """(count, start, end) of the equal tiles along an axis, then of the last one, which takes the remainder."""
    step = size // tiles
    if tiles == 1 or (isinstance(size, int) and size % tiles == 0):
        return [(tiles, 0, size)]
    last = [(1, (tiles - 1) * step, size)]
    return last if isinstance(size, int) and step == 0 else [(tiles - 1, 0, (tiles - 1) * step), *last]


@keras.saving.register_keras_serializable("kattn")
class ObjectAttention(keras.Layer):
    """Every position gathers from those like it: OCNet's self-attention stage, without a residual.

    K = leaky_relu(BN(x Wk + bk)), queries and keys alike;   V = x Wv + bv
    A = softmax over keys of K K^T / sqrt(key channels);     y = (A V) Wo + bo

    Wo and bo start at 0, as in the authors' code: the stage starts as the constant 0.

    Args:
        filters: Channels of y; None for the input's.
        key_channels: Of K; None for half the input's, at least 1.
        value_channels: Of V; None for as many as K.
        scale: x is max-pooled by it first (a remainder is dropped), and y enlarged back with aligned corners.
        tiles: Attention stays within each of tiles x tiles tiles; the last row and column take the remainder. Not
            together with a scale above 1.
        negative_slope: Of the leaky ReLU.
        block: Queries whose attention is held at once, see PositionAttention.
        return_attention: Also return A: (batch, n, n), and with tiles one such matrix a tile, row by row.

    Shapes: (batch, height, width, channels) to (batch, height, width, filters). With scale 1 and one tile, moving whole
        positions about moves the output alike.
    Memory: N^2 / scale^4 or about N^2 / tiles^2 values of A a sample (N = H W), block * N above 2^24 (in training
        2^27).
    Raises: ValueError for a scale, tiles or block below 1, both above 1, a map smaller than the scale, or an input that
        is no feature map.
    Paper: Yuan, Wang. OCNet: Object Context Network for Scene Parsing. 2018. arXiv:1809.00916v1. Its revision of 2021
        has an interlaced sparse attention instead.
    Code: openseg-group/OCNet.pytorch
    """

    def __init__(
        self,
        filters: int | None = None,
        key_channels: int | None = None,
        value_channels: int | None = None,
        scale: int = 1,
        tiles: int = 1,
        negative_slope: float = ABN_SLOPE,
        block: int | None = None,
        return_attention: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if scale < 1 or tiles < 1 or (scale > 1 and tiles > 1):
            raise ValueError(
                f"scale and tiles must be at least 1, and not both above it. Received: scale={scale}, tiles={tiles}"
            )
        if block is not None and block < 1:
            raise ValueError(f"block must be None or at least 1 query. Received: block={block}")
        self.filters = filters
        self.key_channels = key_channels
        self.value_channels = value_channels
        self.scale = scale
        self.tiles = tiles
        self.negative_slope = negative_slope
        self.block = block
        self.return_attention = return_attention

    def build(self, input_shape: Any) -> None:
        """Create the projections."""
        channels = feature_map_channels(self, input_shape)
        if any(size is not None and size < self.scale for size in input_shape[1:3]):
            raise ValueError(
                f"The map must have at least scale={self.scale} rows and columns. Received: shape {tuple(input_shape)}"
            )
        self.key_width = self.key_channels or hidden_width(channels, 2)
        value_width = self.value_channels or self.key_width
        self.key = ConvNormActivation(
            self.key_width,
            negative_slope=self.negative_slope,
            use_bias=True,
            name="key",
            dtype=self.dtype_policy,
        )
        self.value = pointwise(value_width, name="value", dtype=self.dtype_policy)
        self.out = pointwise(self.filters or channels, kernel_initializer="zeros", name="out", dtype=self.dtype_policy)
        self.key.build(input_shape)
        self.value.build(input_shape)
        self.out.build((*input_shape[:-1], value_width))

    def call(self, x: Any, training: bool | None = None) -> Any:
        """What every position gathers."""
        _, height, width, _ = ops.shape(x)
        if self.scale > 1:
            x = ops.max_pool(x, self.scale, self.scale, padding="valid", data_format="channels_last")
        context, maps = self._gather(self.key(x, training=training), self.value(x), training)
        y = self.out(context)
        if self.scale > 1:
            y = resize_align_corners(y, (height, width))
        return (y, *maps) if self.return_attention else y

    def _gather(self, key: Any, value: Any, training: bool | None) -> tuple[Any, list[Any]]:
        """Attention within the tiles, equal ones together as samples (at most four products), and its maps."""
        rows, grid = [], []
        for down, top, bottom in bands(ops.shape(key)[1], self.tiles):
            row, row_maps = [], []
            for across, left, right in bands(ops.shape(key)[2], self.tiles):
                k, v = key[:, top:bottom, left:right], value[:, top:bottom, left:right]
                parts = self._attend(to_tiles(k, down, across), to_tiles(v, down, across), training)
                row.append(from_tiles(parts[0], bottom - top, right - left, down, across))
                if self.return_attention:
                    n = ops.shape(parts[1])[-1]
                    row_maps.append((down, across, ops.reshape(parts[1], (-1, down * across, n, n))))
            rows.append(row[0] if len(row) == 1 else ops.concatenate(row, axis=2))
            grid.append(row_maps)
        context = rows[0] if len(rows) == 1 else ops.concatenate(rows, axis=1)
        maps = []
        for row_maps in grid:
            for i in range(row_maps[0][0] if row_maps else 0):
                maps += [a[:, i * across + j] for _, across, a in row_maps for j in range(across)]
        return context, maps

    def _attend(self, key: Any, value: Any, training: bool | None) -> tuple[Any, ...]:
        options: dict[str, Any] = {"scale": self.key_width**-0.5, "block": self.block, "training": training}
        y = attend(key, key, value, return_attention=self.return_attention, **options)
        return y if self.return_attention else (y,)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape with the new channels, and those of the maps where they are returned."""
        batch, height, width, channels = input_shape
        y = (batch, height, width, self.filters or channels)
        if not self.return_attention:
            return y
        sides = [None if size is None else size // self.scale for size in (height, width)]
        down, across = ([None] * self.tiles if side is None else self._tile_sides(side) for side in sides)
        counts = [None if h is None or w is None else h * w for h in down for w in across]
        return (y, *[(batch, n, n) for n in counts])

    def _tile_sides(self, side: int) -> list[int | None]:
        step = side // self.tiles
        return [side] if not step else [*[step] * (self.tiles - 1), side - (self.tiles - 1) * step]

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "key_channels": self.key_channels,
            "value_channels": self.value_channels,
            "scale": self.scale,
            "tiles": self.tiles,
            "negative_slope": self.negative_slope,
            "block": self.block,
            "return_attention": self.return_attention,
        }
