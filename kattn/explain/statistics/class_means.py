"""Means by class, gathered batch by batch."""

from __future__ import annotations

import numpy as np


class ClassMeans:
    """Running sums of vectors by class: classes x values numbers, for any number of images.

    Args:
        classes: Number of classes; None grows with the labels.

    Attributes:
        counts: Images of each class.
    """

    def __init__(self, classes: int | None = None) -> None:
        self.classes = classes
        self.counts = np.zeros(classes or 0, "int64")
        self.sums: dict[str, np.ndarray] = {}
        self.squares: dict[str, np.ndarray] = {}

    def add(self, values: dict[str, np.ndarray], labels: np.ndarray) -> None:
        """Add a batch: values by name, each (images, n).

        Raises: ValueError for a label below 0 or beyond the classes.
        """
        labels = labels.astype("int64")
        highest = int(labels.max())
        if labels.min() < 0 or (self.classes is not None and highest >= self.classes):
            wrong = labels.min() if labels.min() < 0 else highest
            top = "" if self.classes is None else f" to {self.classes - 1}"
            raise ValueError(f"labels must be class numbers from 0{top}. Received: {wrong}")
        self.counts = _grown(self.counts, highest + 1)
        np.add.at(self.counts, labels, 1)
        of_class = (np.arange(len(self.counts))[:, None] == labels).astype("float64")
        for name, batch in values.items():
            batch = batch.reshape(len(labels), -1).astype("float64")
            start = np.zeros((len(self.counts), batch.shape[1]))
            self.sums[name] = _grown(self.sums.get(name, start), len(self.counts)) + of_class @ batch
            self.squares[name] = _grown(self.squares.get(name, start), len(self.counts)) + of_class @ batch**2

    def means(self, name: str) -> np.ndarray:
        """(classes, n); NaN for a class without images."""
        with np.errstate(invalid="ignore"):
            return self.sums[name] / np.where(self.counts, self.counts, np.nan)[:, None]

    def deviations(self, name: str) -> np.ndarray:
        """Standard deviations around the class means, (classes, n); NaN for a class without images."""
        with np.errstate(invalid="ignore"):
            second = self.squares[name] / np.where(self.counts, self.counts, np.nan)[:, None]
        return np.sqrt(np.maximum(second - self.means(name) ** 2, 0))


def _grown(array: np.ndarray, length: int) -> np.ndarray:
    """The array with zeros behind, up to a length."""
    missing = length - len(array)
    return array if missing <= 0 else np.concatenate([array, np.zeros((missing, *array.shape[1:]), array.dtype)])
