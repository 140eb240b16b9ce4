"""PSA's over-completed map, one weight a relative offset, as a matrix of weights between positions."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops


def psa_mask(x: Any, mask_size: tuple[int, int], distribute: bool = False) -> Any:
    """Weights between positions from the weights of relative offsets.

    T[(i, j), (k, l)] = x[i, j, (k - i + (mh - 1) / 2) mw + (l - j + (mw - 1) / 2)], 0 for an offset outside the mask.

    One gather from the flattened map, by constant indices where the map's size is known in advance.

    Args:
        x: (batch, height, width, mh * mw), at each position one value an offset.
        mask_size: (mh, mw), both odd.
        distribute: False for T, whose owner (i, j) gathers; True for its transpose, whose owner hands out.

    Returns: (batch, height * width, height * width): one row an output position, one column a source position.
    """
    mask_height, mask_width = mask_size
    entries = mask_height * mask_width
    _, height, width, _ = ops.shape(x)
    n = height * width
    known = isinstance(height, int) and isinstance(width, int)
    xp: Any = np if known else ops

    def offsets(size: Any, middle: int) -> tuple[Any, Any]:
        """(owner, target): the mask's entry along one axis, clipped to it, and whether it had to be."""
        at = xp.arange(size, dtype="int32")
        offset = at[None, :] - at[:, None] + middle
        return xp.clip(offset, 0, 2 * middle), (offset >= 0) & (offset <= 2 * middle)

    down, down_inside = offsets(height, (mask_height - 1) // 2)
    across, across_inside = offsets(width, (mask_width - 1) // 2)
    owner = xp.reshape(xp.arange(n, dtype="int32") * entries, (height, width, 1, 1))
    index = owner + down[:, None, :, None] * mask_width + across[None, :, None, :]
    inside = down_inside[:, None, :, None] & across_inside[None, :, None, :]
    index, inside = xp.reshape(index, (n, n)), xp.reshape(inside, (n, n))
    weights = ops.take(ops.reshape(x, (-1, n * entries)), xp.reshape(index, (-1,)), axis=1)
    weights = ops.reshape(weights, (-1, n, n))
    if not known or not inside.all():
        weights = weights * ops.cast(inside, x.dtype)
    return ops.transpose(weights, (0, 2, 1)) if distribute else weights
