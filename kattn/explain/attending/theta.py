"""Where a spatial transformer looks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from kattn.explain.attending.site import Query, Site


def fits(site: Site) -> bool:
    """The six numbers of an affine transform."""
    return site.shape == (6,)


def to_map(values: Any, site: Site, query: Query, earlier: Sequence[Any] = ()) -> Any:
    """1 where the transformer reads the map, 0 elsewhere: the output's frame, drawn on the input."""
    height, width = site.size
    x = ops.reshape(ops.convert_to_tensor((2 * np.arange(width) + 1) / width - 1, values.dtype), (1, 1, width))
    y = ops.reshape(ops.convert_to_tensor((2 * np.arange(height) + 1) / height - 1, values.dtype), (1, height, 1))
    a, b, c, d, e, f = (ops.reshape(values[:, i], (-1, 1, 1)) for i in range(6))
    determinant = a * e - b * d
    flat = ops.abs(determinant) < 1e-12
    scale = 1.0 / ops.where(flat, ops.ones_like(determinant), determinant)
    u, v = (e * (x - c) - b * (y - f)) * scale, (a * (y - f) - d * (x - c)) * scale
    inside = ops.logical_and(ops.maximum(ops.abs(u), ops.abs(v)) <= 1.0, ops.logical_not(flat))
    return ops.cast(inside, values.dtype)


def sampling_grid(theta: Any, lines: int = 9) -> np.ndarray:
    """A regular grid of points over the output, and where these points lie on the input.

    Args:
        theta: (images, 6), as `attention_values` gives it for a spatial transformer.
        lines: Lines of the grid in each direction, at least 2.

    Returns: (images, lines, lines, 2): x and y of each crossing in 0-1 of the input's width and height.
    """
    theta = np.asarray(theta, "float64").reshape(-1, 2, 3)
    if lines < 2:
        raise ValueError(f"lines must be at least 2. Received: lines={lines}")
    at = np.linspace(-1, 1, lines)
    x, y = np.meshgrid(at, at)
    points = np.einsum("nij,jhw->nhwi", theta, np.stack([x, y, np.ones_like(x)]))
    return (points + 1) / 2
