"""How large a part of the image a class activation map covers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from kattn.explain.class_maps.by_gradient import grad_cam
from kattn.explain.statistics.stream import stream
from kattn.facts.stated import NAMES

BINS = 50


@dataclass(frozen=True)
class Area:
    """The share of the image that a map covers, over a dataset.

    Attributes:
        mean: Mean share over the images with a map, 0-1.
        deviation: Its standard deviation.
        images: Number of images with a map.
        empty: Number of images without one, where nothing speaks for the class. No other attribute counts them.
        histogram: Number of images by share, in 50 equal bins of 0-1.
    """

    mean: float
    deviation: float
    images: int
    empty: int
    histogram: np.ndarray


def activation_area(
    model: keras.Model,
    data: Any,
    *,
    threshold: float = 0.5,
    method: Callable[..., np.ndarray] = grad_cam,
    split: str = "test",
    batch_size: int = 128,
    limit: int | None = None,
    **options: Any,
) -> Area:
    """The share of pixels where a map reaches a given part of its maximum, over a dataset.

    The AFI paper says that its Grad-CAM maps are smaller than the plain network's; this is a number for it.

    Args:
        model: A functional or Sequential classifier of one input.
        data, split, batch_size, limit: See `kattn.explain.statistics.stream`.
        threshold: Part of the map's maximum, above 0, at most 1.
        method: (model, images, batch_size=..., **options) to maps in 0-1, such as `grad_cam`.
        options: Of the method: classes, layer, output; and what is known of the model's input, as in `stream`.

    Returns: Mean, deviation and histogram of the shares.
    Raises: ValueError for a threshold out of range, and as the method does.
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold must be above 0 and at most 1. Received: threshold={threshold}")
    count, empty, total, squares = 0, 0, 0.0, 0.0
    histogram = np.zeros(BINS, int)
    stated = {name: value for name, value in options.items() if name in NAMES}
    for images, _ in stream(data, model, split=split, batch_size=batch_size, limit=limit, **stated):
        maps = method(model, images, batch_size=batch_size, **options)
        there = maps.max(axis=(1, 2)) > 0
        shares = (maps[there] >= threshold).mean(axis=(1, 2), dtype="float64")
        count, empty = count + len(shares), empty + int((~there).sum())
        total, squares = total + float(shares.sum()), squares + float((shares**2).sum())
        histogram += np.histogram(shares, BINS, (0, 1))[0]
    if not count:
        raise ValueError(f"no image of the data has a map: nothing speaks for its class in all {empty}.")
    mean = total / count
    return Area(mean, max(squares / count - mean**2, 0.0) ** 0.5, count, empty, histogram)
