"""Made-up images, of the type and in the range that a model takes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def made_up(
    count: int,
    shape: Sequence[int],
    dtype: str = "float32",
    value_range: tuple[float, float] | None = None,
    seed: int = 0,
) -> np.ndarray:
    """Random images, smooth ones and noise by turns.

    Args:
        count: How many.
        shape: Of one: (height, width, channels), or any other.
        dtype: Of the result. Integers are whole numbers within the type.
        value_range: Least and largest value. None: -1 to 1; of bytes all values, of other integers 0 to 255.
        seed: The same gives the same.

    Returns: (count, *shape). Where the range is that of pixels, 0 to 255, the values are whole numbers.
    """
    random = np.random.default_rng(seed)
    images = random.uniform(0, 1, (count, *shape)).astype("float32")
    if len(shape) == 3:
        coarse = random.uniform(0, 1, (count, 4, 4, shape[2])).astype("float32")
        rows = np.linspace(0, 3.999, shape[0]).astype(int)
        columns = np.linspace(0, 3.999, shape[1]).astype(int)
        smooth = coarse[:, rows][:, :, columns]
        images[::2] = 0.8 * smooth[::2] + 0.2 * images[::2]
    number = np.dtype(dtype) if dtype != "bfloat16" else np.dtype("float32")
    if number.kind == "b":
        return images > 0.5
    whole = number.kind in "iu"
    bytes_of = np.iinfo(number if whole and number.itemsize == 1 else "uint8")
    limits = (np.iinfo(number).min, np.iinfo(number).max) if whole else None
    low, high = value_range or ((bytes_of.min, bytes_of.max) if whole else (-1.0, 1.0))
    images = low + images * np.float32(high - low)
    pixels = whole or (low, high) == (0, 255)
    images = np.round(images) if pixels else images
    return (np.clip(images, *limits) if limits else images).astype(number)
