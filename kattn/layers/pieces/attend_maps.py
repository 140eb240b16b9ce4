"""Dense attention between the positions of maps, as the generation and restoration blocks use it."""

from __future__ import annotations

from typing import Any

from keras import ops

from kattn.layers.pieces.attend import attend, positions
from kattn.layers.pieces.maps import to_map


def attend_maps(
    query: Any, key: Any, value: Any, *, return_attention: bool = False, training: bool | None = False
) -> tuple[Any, Any | None]:
    """Give every position of the query's map the values of the key's map, weighed by a softmax over the keys.

    Args:
        query: (batch, height, width, d).
        key, value: (batch, ..., d) and (batch, ..., c), of a size of their own.
        return_attention: Also give the weights, made whole then.
        training: Whether a gradient will be taken.

    Returns: (batch, height, width, c), and the weights, (batch, queries, keys), or None.
    """
    rows = positions(query), positions(key), positions(value)
    gathered = attend(*rows, return_attention=return_attention, training=training)
    rows, attention = gathered if return_attention else (gathered, None)
    return to_map(rows, query), attention


def map_size(shape: Any, pool: int = 1) -> int | None:
    """Positions of a map of this shape after pooling without overhang, None where a side is unknown."""
    height, width = shape[1], shape[2]
    return None if height is None or width is None else (height // pool) * (width // pool)


def max_pooled(x: Any, pool: int) -> Any:
    """Maximum over tiles of pool x pool positions; what overhangs is left out."""
    return x if pool == 1 else ops.max_pool(x, pool, strides=pool, padding="valid", data_format="channels_last")
