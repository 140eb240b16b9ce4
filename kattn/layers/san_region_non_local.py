"""RL-NL: non-local attention inside each region of a map."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kattn.layers.pieces.attend_maps import attend_maps, map_size, max_pooled
from kattn.layers.pieces.norms import batch_norm
from kattn.layers.pieces.pointwise import pointwise
from kattn.layers.pieces.widths import checked_reduction, feature_map_channels, hidden_width


@keras.saving.register_keras_serializable("kattn")
class RegionNonLocal(keras.Layer):
    """Non-local attention inside each tile of the map, with the same weights for all tiles (RL-NL).

    y = W softmax(theta(x) pool(phi(x))^T) pool(g(x)) + x          in every tile; W starts at zero

    The map is cut into regions x regions tiles of height H // regions and width W // regions; the last ones take what
    remains. Keys and values are max-pooled inside their tile: in the authors' code sub_sample=False is overwritten
    before it is used, so that theirs are, and the default follows the code; pool=1 is what they asked for.

    Args:
        regions: Tiles a side; 1 is a plain non-local block.
        reduction: Channels of theta, phi and g are C // reduction, at least 1.
        inter_channels: Those channels themselves; overrides the reduction.
        pool: Side and stride of the max-pool on keys and values, 1 for none; what overhangs is left out.
        batch_norm: Batch normalisation after W, with the scale starting at zero in W's place (off in the network).
        return_attention: Also return the attention of every tile, row by row.

    Shapes: (batch, height, width, channels) in and out; attention (batch, n, n / pool^2) each, n positions of a tile.
        A side must have at least regions * pool positions.
    Memory: 4 N^2 / (regions^2 pool^2) bytes a sample for all maps, N = H * W: N^2 / 4 with the defaults.
    Raises: ValueError for a map too small for its tiles, or an input that is no feature map.
    Paper: Dai, Cai, Zhang, Xia, Zhang. Second-Order Attention Network for Single Image Super-Resolution. CVPR 2019.
    Code: daitao/SAN; its Nonlocal_CA holds a SOCA besides that is never called and is left out here.
    """

    def __init__(
        self,
        regions: int = 2,
        reduction: int = 8,
        inter_channels: int | None = None,
        pool: int = 2,
        batch_norm: bool = False,
        return_attention: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if regions < 1 or pool < 1:
            raise ValueError(f"regions and pool must be at least 1. Received: regions={regions}, pool={pool}")
        self.regions = regions
        self.reduction = checked_reduction(reduction)
        self.inter_channels = inter_channels
        self.pool = pool
        self.batch_norm = batch_norm
        self.return_attention = return_attention

    def build(self, input_shape: Any) -> None:
        """Create the four 1x1 convolutions."""
        channels = feature_map_channels(self, input_shape)
        least = self.regions * self.pool
        if any(side is not None and side < least for side in input_shape[1:3]):
            raise ValueError(
                f"With regions={self.regions} and pool={self.pool} a map needs at least {least} positions a side. "
                f"Received: shape {tuple(input_shape)}"
            )
        inter = hidden_width(channels, self.reduction) if self.inter_channels is None else self.inter_channels
        self.theta = pointwise(inter, name="theta", dtype=self.dtype_policy)
        self.phi = pointwise(inter, name="phi", dtype=self.dtype_policy)
        self.g = pointwise(inter, name="g", dtype=self.dtype_policy)
        start = "glorot_uniform" if self.batch_norm else "zeros"
        self.w = pointwise(channels, kernel_initializer=start, name="w", dtype=self.dtype_policy)
        for layer in (self.theta, self.phi, self.g):
            layer.build((None, None, None, channels))
        self.w.build((None, None, None, inter))
        if self.batch_norm:
            self.norm = batch_norm(gamma_initializer="zeros", name="norm", dtype=self.dtype_policy)
            self.norm.build((None, None, None, channels))

    def call(self, x: Any, training: bool | None = None) -> Any:
        """Add what each position gathers from its tile."""
        # 1x1 convolutions see single positions: cutting after them is the same and takes three of them, not twelve.
        theta, phi, g = self.theta(x), self.phi(x), self.g(x)
        maps: list[Any] = []
        rows = []
        for top, bottom in self._cuts(ops.shape(x)[1]):
            row = []
            for left, right in self._cuts(ops.shape(x)[2]):
                query, key, value = (t[:, top:bottom, left:right] for t in (theta, phi, g))
                key, value = max_pooled(key, self.pool), max_pooled(value, self.pool)
                gathered, attention = attend_maps(
                    query, key, value, return_attention=self.return_attention, training=training
                )
                row.append(gathered)
                maps.append(attention)
            rows.append(ops.concatenate(row, axis=2))
        y = self.w(ops.concatenate(rows, axis=1))
        y = x + (self.norm(y, training=training) if self.batch_norm else y)
        return (y, *maps) if self.return_attention else y

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape, and the attentions' where they are returned."""
        if not self.return_attention:
            return input_shape
        batch, height, width, _ = input_shape
        tiles = [(batch, *tile) for tile in self._tile_sizes(height, width)]
        return input_shape, *((batch, map_size(tile), map_size(tile, self.pool)) for tile in tiles)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "regions": self.regions,
            "reduction": self.reduction,
            "inter_channels": self.inter_channels,
            "pool": self.pool,
            "batch_norm": self.batch_norm,
            "return_attention": self.return_attention,
        }

    def _cuts(self, size: Any) -> list[tuple[Any, Any]]:
        """Start and end of each tile along a side; the last one is open, it takes the remainder."""
        step = size // self.regions
        return [(i * step, (i + 1) * step) for i in range(self.regions - 1)] + [((self.regions - 1) * step, None)]

    def _tile_sizes(self, height: int | None, width: int | None) -> list[tuple[int | None, int | None]]:
        def sides(size: int | None) -> list[int | None]:
            if size is None:
                return [None] * self.regions
            return [(size if end is None else end) - start for start, end in self._cuts(size)]

        return [(tile_height, tile_width) for tile_height in sides(height) for tile_width in sides(width)]
