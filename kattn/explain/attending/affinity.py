"""Positions that attend to positions: non-local blocks, DANet, object context, SAGAN."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops

from kattn.explain.attending.site import Query, Site

LARGEST_SHRINK = 16  # of a map before it attends, or is attended to


def fits(site: Site) -> bool:
    """(queries, keys), each the positions of the layer's map or of that map shrunk, not of tiles of the map."""
    if len(site.shape) != 2 or len(site.maps) > 1:
        return False
    height, width = site.size
    alike = [shape for shape in site.shapes if len(shape) == 2]
    tiles = len(alike) > 1 and sum(shape[0] or 0 for shape in alike) == height * width
    return not tiles and all(grid(count, site.size) is not None for count in site.shape)


def grid(count: int | None, size: tuple[int, int]) -> tuple[int, int] | None:
    """Height and width, rounded down or up, of the shrunk map with so many positions; None where there is none."""
    for factor in range(1, LARGEST_SHRINK + 1):
        for sides in ([max(1, s // factor) for s in size], [-(-s // factor) for s in size]):
            if sides[0] * sides[1] == count:
                return sides[0], sides[1]
    return None


def to_map(values: Any, site: Site, query: Query, earlier: Sequence[Any] = ()) -> Any:
    """The weights of the query's position over the keys; without a query the mean over all positions."""
    queries, keys = (grid(count, site.size) for count in site.shape)
    assert queries is not None and keys is not None  # as `fits` says
    if query is None:
        row = ops.mean(values, axis=1)
    else:
        at = [min(int(share * side), side - 1) for share, side in zip(query, queries, strict=True)]
        row = values[:, at[0] * queries[1] + at[1]]
    return ops.reshape(row, (-1, *keys))
