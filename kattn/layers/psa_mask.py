"""PSA's over-completed map, one weight a relative offset, as a matrix of weights between positions."""

from __future__ import annotations

from typing import Any

from keras import ops


def fit(x: Any, axis: int, extent: Any) -> Any:
    """Crop or zero-pad an odd axis about its middle to 2 * extent - 1 offsets."""
    middle = (x.shape[axis] - 1) // 2
    if isinstance(extent, int):
        missing, surplus = max(0, extent - 1 - middle), max(0, middle - extent + 1)
    else:
        missing, surplus = ops.maximum(0, extent - 1 - middle), ops.maximum(0, middle - extent + 1)
    if isinstance(surplus, int) and isinstance(missing, int) and not surplus and not missing:
        return x
    keep = [slice(None)] * 4
    keep[axis] = slice(surplus, x.shape[axis] - surplus)
    pad: list[Any] = [(0, 0)] * 4
    pad[axis] = (missing, missing)
    return ops.pad(x[tuple(keep)], pad)


def skew(x: Any, rows: Any) -> Any:
    """(batch, rows * (2 rows - 1), c) with one row of offsets a position to (batch, rows, rows, c) with one a target.

    Row r of the result is row r of the offsets shifted by r: out[r, t] = x[r, t - r + rows - 1]. Reading the flat array
    from rows - 1 with a row length one shorter than it has does that shift, with no index table.
    """
    length = max(2 * rows - 2, 1) if isinstance(rows, int) else ops.maximum(2 * rows - 2, 1)
    channels = ops.shape(x)[-1]
    x = x[:, rows - 1 : rows - 1 + rows * length]
    return ops.reshape(x, (-1, rows, length, channels))[:, :, :rows]


def psa_mask(x: Any, mask_size: tuple[int, int], distribute: bool = False) -> Any:
    """Weights between positions from the weights of relative offsets.

    T[(i, j), (k, l)] = x[i, j, (k - i + (mh - 1) / 2) mw + (l - j + (mw - 1) / 2)], 0 for an offset outside the mask.

    Args:
        x: (batch, height, width, mh * mw), at each position one value an offset.
        mask_size: (mh, mw), both odd.
        distribute: False for T, whose owner (i, j) gathers; True for its transpose, whose owner hands out.

    Returns: (batch, height * width, height * width): one row an output position, one column a source position.
    """
    _, height, width, _ = ops.shape(x)
    offsets_down, offsets_across = 2 * height - 1, 2 * width - 1
    x = fit(fit(ops.reshape(x, (-1, width, *mask_size)), 2, height), 3, width)
    # (b i, j, down, across) -> columns: (b i, down, j, l) -> rows: (b, i, k, j l)
    x = ops.reshape(ops.transpose(x, (0, 2, 1, 3)), (-1, width * offsets_across, 1))
    x = ops.reshape(skew(x, width), (-1, height * offsets_down, width * width))
    x = ops.reshape(skew(x, height), (-1, height, width, width))
    n = height * width
    x = ops.reshape(ops.transpose(x, (0, 2, 1, 3)), (-1, n, n))
    return ops.transpose(x, (0, 2, 1)) if distribute else x
