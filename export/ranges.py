"""Ranges of activations over calibration images, for quantisation to 8 bits."""

from __future__ import annotations

from collections.abc import Collection, Hashable
from typing import Generic, TypeVar

import numpy as np

Name = TypeVar("Name", bound=Hashable)

# Part of the images whose least or largest value in a tensor counts. One image with values three times as large as in
# all others costs these more than a bit.
SHARES = {"percentile": 0.97, "minmax": 1.0}


class Ranges(Generic[Name]):
    """Least and largest value of each tensor, image by image."""

    def __init__(self) -> None:
        self._least: dict[Name, list[float]] = {}
        self._most: dict[Name, list[float]] = {}

    def add(self, tensor: Name, values: np.ndarray) -> None:
        """What a tensor holds for one image, or one batch of them."""
        self._least.setdefault(tensor, []).append(float(values.min()))
        self._most.setdefault(tensor, []).append(float(values.max()))

    def over(self, share: float, whole: Collection[Name] = ()) -> dict[Name, tuple[float, float]]:
        """Range of each tensor over a share of the images; over all where only the rest of them moves it.

        Args:
            share: From 0 to 1.
            whole: Tensors whose range is over all images, as that of the image itself.
        """
        found = {}
        for tensor, least in self._least.items():
            most = self._most[tensor]
            low, high = float(np.quantile(least, 1 - share)), float(np.quantile(most, share))
            moves = tensor not in whole and max(high, 0.0) > min(low, 0.0)
            found[tensor] = (low, high) if moves else (min(least), max(most))
        return found
