"""Trials that fall behind the others are ended early."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

import keras

from kattn.runs.folder import RunFolder

OTHERS = 2  # other trials that must have come as far before a trial is compared with them


class Pruned(Exception):
    """Ends a trial that has fallen behind."""


class MedianPruner(keras.callbacks.Callback):
    """End a trial whose validation accuracy is below the median of the other trials' at the same epoch.

    Args:
        folder: The trial's.
        epochs: Of the whole trial.
    """

    def __init__(self, folder: RunFolder, epochs: int) -> None:
        super().__init__()
        self.folder = folder
        self.epochs = epochs

    def on_train_begin(self, logs: Any = None) -> None:
        """Compare the last epoch before an interruption."""
        self._compare()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Compare the epoch."""
        self._compare()

    def _compare(self) -> None:
        done = self.folder.history()
        if not done or len(done) >= self.epochs:
            return
        folders = [path for path in self.folder.path.parent.iterdir() if path != self.folder.path]
        histories = [RunFolder(path).history() for path in sorted(folders)]
        others = [accuracy_of(rows[len(done) - 1]) for rows in histories if len(rows) >= len(done)]
        if len(others) >= OTHERS and accuracy_of(done[-1]) < statistics.median(others):
            raise Pruned


def accuracy_of(row: Mapping[str, float]) -> float:
    """The validation accuracy of the model's answer in a row of history.csv."""
    names = [name for name in row if name.startswith("val_") and name.endswith("accuracy")]
    main = next((name for name in ("val_accuracy", "val_predictions_accuracy") if name in names), None)
    return row[main or names[0]]
