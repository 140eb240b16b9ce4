"""MPM: mixed pooling, a pyramid of square grids beside strips, for the head of a segmentation network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kattn.layers.pieces.adaptive_pooling import adaptive_average
from kattn.layers.pieces.align_corners import resize_align_corners
from kattn.layers.pieces.norms import batch_norm
from kattn.layers.pieces.widths import checked_reduction, feature_map_channels, hidden_width

SIDES = {"square": (3, 3), "row": (1, 3), "column": (3, 1), "point": (1, 1)}


@keras.saving.register_keras_serializable("kattn")
class MixedPooling(keras.Layer):
    """Add to the map what a pyramid of grids sees of short range, and strips of long range.

    C_k(x) = BN(conv k (x)), of channels // reduction filters; x1 = relu(C_1(x)), x2 = relu(C_1'(x))
    p = C_3x3(x1) + sum over the grids n of up(C_3x3(mean of x1 over an n x n grid))
    t = C_1x3(mean of x2 over the height) + C_3x1(mean of x2 over the width)
    y = relu(x + BN(W [relu(C_3x3(relu(p))), relu(C_3x3(relu(t)))]))

    up is bilinear with aligned corners. A grid finer than the map repeats pixels.

    Args:
        pool_sizes: Sides of the grids, in cells. (20, 12) in the authors' networks.
        reduction: The inner width is channels // reduction, at least 1.

    Shapes: (batch, height, width, channels) in and out.
    Raises: ValueError for no grid or a side below 1, a reduction below 1, or an input that is no feature map.
    Paper: Hou, Zhang, Cheng, Feng. Strip Pooling: Rethinking Spatial Pooling for Scene Parsing. CVPR 2020.
        arXiv:2003.13328
    Code: Andrew-Qibin/SPNet (the MPM)
    """

    def __init__(self, pool_sizes: Sequence[int] = (20, 12), reduction: int = 4, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not pool_sizes or min(pool_sizes) < 1:
            raise ValueError(f"pool_sizes must be some numbers of at least 1. Received: pool_sizes={pool_sizes}")
        self.pool_sizes = tuple(pool_sizes)
        self.reduction = checked_reduction(reduction)

    def build(self, input_shape: Any) -> None:
        """Create every convolution with its normalisation."""
        channels = feature_map_channels(self, input_shape)
        inner = hidden_width(channels, self.reduction)
        self.convs: dict[str, keras.Layer] = {}
        self.norms: dict[str, keras.Layer] = {}
        self._unit("enter_grids", "point", inner, channels)
        self._unit("enter_strips", "point", inner, channels)
        self._unit("fine", "square", inner, inner)
        for number in range(len(self.pool_sizes)):
            self._unit(f"grid{number}", "square", inner, inner)
        self._unit("columns", "row", inner, inner)
        self._unit("rows", "column", inner, inner)
        self._unit("grids", "square", inner, inner)
        self._unit("strips", "square", inner, inner)
        self._unit("out", "point", channels, 2 * inner)

    def _unit(self, name: str, side: str, filters: int, channels: int) -> None:
        conv = keras.layers.Conv2D(
            filters,
            SIDES[side],
            padding="same",
            use_bias=False,
            kernel_initializer="he_normal",
            data_format="channels_last",
            name=name,
            dtype=self.dtype_policy,
        )
        conv.build((None, None, None, channels))
        norm = batch_norm(name=f"{name}_bn", dtype=self.dtype_policy)
        norm.build((None, None, None, filters))
        self.convs[name], self.norms[name] = conv, norm

    def call(self, x: Any, training: bool | None = None) -> Any:
        """Pool in both ways, and add."""

        def unit(name: str, x: Any) -> Any:
            return self.norms[name](self.convs[name](x), training=training)

        _, height, width, _ = ops.shape(x)
        of_grids, of_strips = (ops.relu(unit(name, x)) for name in ("enter_grids", "enter_strips"))
        grids = unit("fine", of_grids)
        for number, side in enumerate(self.pool_sizes):
            cells = unit(f"grid{number}", adaptive_average(of_grids, (side, side)))
            grids = grids + resize_align_corners(cells, (height, width))
        columns = unit("columns", ops.mean(of_strips, axis=1, keepdims=True))
        rows = unit("rows", ops.mean(of_strips, axis=2, keepdims=True))
        grids, strips = ops.relu(unit("grids", ops.relu(grids))), ops.relu(unit("strips", ops.relu(columns + rows)))
        return ops.relu(x + unit("out", ops.concatenate([grids, strips], axis=-1)))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "pool_sizes": list(self.pool_sizes), "reduction": self.reduction}
