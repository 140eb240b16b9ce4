"""Ranges of activations over calibration images, for quantisation to 8 bits."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np

# Part of the images whose least or largest value in a tensor counts. One image with values three times as large as in
# all others costs these more than a bit.
SHARES = {"percentile": 0.97, "minmax": 1.0}


class Ranges:
    """Least and largest value of each tensor, image by image."""

    def __init__(self) -> None:
        self._least: dict[Hashable, list[float]] = {}
        self._most: dict[Hashable, list[float]] = {}

    def add(self, tensor: Hashable, values: np.ndarray) -> None:
        """What a tensor holds for one image, or one batch of them."""
        self._least.setdefault(tensor, []).append(float(values.min()))
        self._most.setdefault(tensor, []).append(float(values.max()))

    def over(self, share: float) -> dict[Hashable, tuple[float, float]]:
        """Range of each tensor over a share of the images; over all where only the rest of them moves it."""
        found = {}
        for tensor, least in self._least.items():
            most = self._most[tensor]
            low, high = float(np.quantile(least, 1 - share)), float(np.quantile(most, share))
            found[tensor] = (low, high) if max(high, 0.0) > min(low, 0.0) else (min(least), max(most))
        return found
