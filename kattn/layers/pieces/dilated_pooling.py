"""Pooling whose window takes every d-th position: what a strided pooling becomes where strides turn into dilation."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kattn.layers.pieces.widths import feature_map_channels

Padding = tuple[tuple[int, int], tuple[int, int]]
MODES = ("max", "average")


@keras.saving.register_keras_serializable("kattn")
class DilatedPooling2D(keras.layers.Layer):
    """Largest or mean value of a window with gaps, at stride 1.

    y[i, j] = max or mean of x[i + d m - top, j + d n - left] over m, n = 0 .. pool_size - 1 that lie on the map

    Args:
        pool_size: Positions of the window along each axis, at least 1.
        dilation: Their distance d, at least 1.
        mode: "max" or "average".
        padding: ((top, bottom), (left, right)): by how much the windows may hang over the map, each 0 to
            (pool_size - 1) * dilation. What lies outside is left out of the maximum and of the mean.

    Shapes: (batch, height, width, channels) to (batch, height + top + bottom - (pool_size - 1) dilation, likewise,
        channels).
    Raises: ValueError for arguments out of range, or an input that is no feature map.
    """

    def __init__(
        self,
        pool_size: int,
        dilation: int = 1,
        mode: str = "max",
        padding: Sequence[Sequence[int]] = ((0, 0), (0, 0)),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if pool_size < 1 or dilation < 1:
            raise ValueError(
                f"pool_size and dilation must be at least 1. Received: pool_size={pool_size}, dilation={dilation}"
            )
        if mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)}. Received: mode={mode!r}")
        (top, bottom), (left, right) = padding
        reach = (pool_size - 1) * dilation
        if not all(0 <= size <= reach for size in (top, bottom, left, right)):
            raise ValueError(f"padding must be within 0 .. (pool_size - 1) * dilation = {reach}. Received: {padding}")
        self.pool_size = pool_size
        self.dilation = dilation
        self.mode = mode
        self.padding: Padding = ((top, bottom), (left, right))

    def build(self, input_shape: Any) -> None:
        """Check the shape."""
        feature_map_channels(self, input_shape)

    def call(self, x: Any) -> Any:
        """Pool along the height, then along the width."""
        for axis, padding in zip((1, 2), self.padding, strict=True):
            x = self._maximum(x, axis, padding) if self.mode == "max" else self._mean(x, axis, padding)
        return x

    def _windows(self, x: Any, axis: int) -> list[Any]:
        """The padded map shifted to each position of the window."""
        reach = (self.pool_size - 1) * self.dilation
        shifts = range(0, reach + 1, self.dilation)
        ends = [shift - reach or None for shift in shifts]  # counted from the map's end, whose place may be unknown
        pairs = zip(shifts, ends, strict=True)
        return [x[:, a:b] if axis == 1 else x[:, :, a:b] for a, b in pairs]

    def _maximum(self, x: Any, axis: int, padding: tuple[int, int]) -> Any:
        # Not padded with minus infinity, which half precision and some runtimes do not take: the lowest value of all
        # never wins against the window's part on the map.
        lowest = ops.min(x, axis=(1, 2), keepdims=True)
        line = ops.minimum(x[:, :1] if axis == 1 else x[:, :, :1], lowest)  # of the right shape without asking for it
        x = ops.concatenate([line] * padding[0] + [x] + [line] * padding[1], axis=axis) if any(padding) else x
        return functools.reduce(ops.maximum, self._windows(x, axis))

    def _mean(self, x: Any, axis: int, padding: tuple[int, int]) -> Any:
        ones = ops.ones_like(x[:1, :, :, :1])
        total, count = (
            functools.reduce(
                ops.add, self._windows(ops.pad(y, [padding if i == axis else (0, 0) for i in range(4)]), axis)
            )
            for y in (x, ones)
        )
        return total / count

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Sizes with the padding and without the window's reach."""
        reach = (self.pool_size - 1) * self.dilation
        batch, *sides, channels = input_shape
        pairs = zip(sides, self.padding, strict=True)
        return batch, *(None if side is None else side + sum(pads) - reach for side, pads in pairs), channels

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "pool_size": self.pool_size,
            "dilation": self.dilation,
            "mode": self.mode,
            "padding": self.padding,
        }
