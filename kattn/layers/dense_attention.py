"""Dense attention between two sets of positions, in pieces where their number is known beforehand."""

from __future__ import annotations

from typing import Any

from keras import ops

MAP_ENTRIES = 2**23  # of one piece of the attention matrix, a sample: 32 MiB in float32


def to_sequence(x: Any) -> Any:
    """(batch, height, width, channels) to (batch, height * width, channels), row by row."""
    _, height, width, channels = x.shape
    if height is None or width is None:
        return ops.reshape(x, (ops.shape(x)[0], -1, channels))
    return ops.reshape(x, (-1, height * width, channels))


def to_map(sequence: Any, like: Any) -> Any:
    """(batch, height * width, channels) back to a map with the height and width of `like`."""
    _, height, width, _ = ops.shape(like)
    return ops.reshape(sequence, (-1, height, width, sequence.shape[-1]))


def map_size(shape: Any, pool: int = 1) -> int | None:
    """Positions of a map of this shape after pooling without overhang, None where a side is unknown."""
    height, width = shape[1], shape[2]
    return None if height is None or width is None else (height // pool) * (width // pool)


def max_pooled(x: Any, pool: int) -> Any:
    """Maximum over tiles of pool x pool positions; what overhangs is left out."""
    return x if pool == 1 else ops.max_pool(x, pool, strides=pool, padding="valid", data_format="channels_last")


def attend(
    query: Any, key: Any, value: Any, *, over: str = "keys", return_attention: bool = False
) -> tuple[Any, Any | None]:
    """Weighted sums of the values: y = A V with A = softmax(Q K^T).

    Logits and softmax are computed in float32 whatever the inputs are: most blocks built on this have no 1/sqrt(d),
    and their logits leave float16. Scale the query beforehand where a block has a scale.

    Args:
        query: (batch, nq, d).
        key: (batch, nk, d).
        value: (batch, nk, c).
        over: "keys", each query's weights sum to one, or "queries", each key's do.
        return_attention: Also give A, (batch, nq, nk); the whole matrix is then made.

    Returns: y, (batch, nq, c) in the value's type, and A in float32 or None.

    Memory: nq * nk numbers a sample in training, where the gradient needs them. At inference at most MAP_ENTRIES at a
    time, as a row of the softmax needs no other; where nq or nk is known only at run time, nq * nk.
    """
    rows, columns = (query, key) if over == "keys" else (key, query)
    rows, columns = ops.cast(rows, "float32"), ops.transpose(ops.cast(columns, "float32"), (0, 2, 1))

    def weights(some_rows: Any) -> Any:
        return ops.softmax(ops.matmul(some_rows, columns), axis=-1)

    if return_attention:
        attention = weights(rows) if over == "keys" else ops.transpose(weights(rows), (0, 2, 1))
        return ops.matmul(ops.cast(attention, value.dtype), value), attention

    pieces = _pieces(rows.shape[1], columns.shape[2])
    if over == "keys":
        parts = [ops.matmul(ops.cast(weights(rows[:, piece]), value.dtype), value) for piece in pieces]
        return parts[0] if len(parts) == 1 else ops.concatenate(parts, axis=1), None
    # Every key hands out its value: adding up (c, nk) x (nk, nq) over pieces of nk transposes no nk x nq matrix.
    value = ops.transpose(value, (0, 2, 1))
    parts = [ops.matmul(value[:, :, piece], ops.cast(weights(rows[:, piece]), value.dtype)) for piece in pieces]
    return ops.transpose(sum(parts[1:], start=parts[0]), (0, 2, 1)), None


def _pieces(rows: int | None, columns: int | None) -> list[slice]:
    """Slices of the rows such that each piece of rows x columns is small enough; one where a size is not known."""
    if rows is None or columns is None or rows * columns <= MAP_ENTRIES:
        return [slice(None)]
    step = max(1, MAP_ENTRIES // columns)
    return [slice(start, start + step) for start in range(0, rows, step)]
