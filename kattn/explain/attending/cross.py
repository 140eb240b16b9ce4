"""Positions that attend to their column and row: CCNet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops

from kattn.explain.attending.site import Query, Site


def fits(site: Site) -> bool:
    """(height, width, height + width), the column's weights first."""
    return len(site.shape) == 3 and site.shape == (*site.size, sum(site.size))


def to_map(values: Any, site: Site, query: Query, earlier: Sequence[Any] = ()) -> Any:
    """The weights of the query's position on its column and row; without a query the mean over all positions.

    With the attention of earlier recurrences: the weights through all of them.
    """
    height, width = site.size
    if query is None:
        start = ops.ones((1, height, width), values.dtype) / (height * width)
    else:
        row, column = (min(int(share * side), side - 1) for share, side in zip(query, site.size, strict=True))
        rows, columns = ops.one_hot(row, height, dtype=values.dtype), ops.one_hot(column, width, dtype=values.dtype)
        start = ops.expand_dims(ops.expand_dims(rows, 1) * ops.expand_dims(columns, 0), 0)
    for weights in (values, *reversed(earlier)):
        start = _shared_out(start, weights, height)
    return start


def _shared_out(start: Any, values: Any, height: int) -> Any:
    """Each position's value of (batch, height, width), spread over the position's column and row by its weights."""
    weighed = ops.expand_dims(start, -1) * values
    down = ops.transpose(ops.sum(weighed[..., :height], axis=1), (0, 2, 1))  # (batch, height, width)
    across = ops.sum(weighed[..., height:], axis=2)
    return down + across
