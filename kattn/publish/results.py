"""The runs behind this project's own accuracies: `RESULTS.csv` and `results_history.csv`. Imports no Keras.

`python -m kattn.publish runs` adds to them; rows where attention loses stay in.
"""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from kattn.files import write_csv
from kattn.publish import checkout

TABLE = "RESULTS.csv"
HISTORY = "results_history.csv"


@dataclass(frozen=True, kw_only=True)
class OfRun:
    """What tells one run from another.

    Attributes:
        model: Name in the zoo.
        data: What it was trained and tested on.
        recipe, epochs, seed: How.
    """

    model: str
    data: str
    recipe: str
    epochs: int
    seed: int

    @property
    def run(self) -> tuple[str, str, str, int, int]:
        """All of it."""
        return (self.model, self.data, self.recipe, self.epochs, self.seed)


@dataclass(frozen=True, kw_only=True)
class Result(OfRun):
    """One finished run, evaluated as it is and as exported files.

    Attributes:
        images, steps: Training images, and updates of the weights in all.
        top1: Accuracy of the Keras model on the test images, in percent.
        tflite_int8, onnx: The same of the exported files.
        loss, calibration_error: Of the Keras model.
        parameters, macs: Trainable values; multiply-adds for one image.
        backend, machine: Where it was trained.
        versions: Of Python and the packages.
        note: What else to know of the data.
        command: What repeats it.
    """

    images: int
    steps: int
    top1: float
    tflite_int8: float
    onnx: float
    loss: float
    calibration_error: float
    parameters: int
    macs: int
    backend: str
    machine: str
    versions: str
    note: str
    command: str


@dataclass(frozen=True, kw_only=True)
class Epoch(OfRun):
    """One epoch of a run; losses are of the main output's classification."""

    epoch: int
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float


def results() -> list[Result]:
    """All runs, as the table has them."""
    return _read(TABLE, Result)


def history() -> list[Epoch]:
    """All epochs of all runs."""
    return _read(HISTORY, Epoch)


def add(row: Result, epochs: Sequence[Epoch]) -> None:
    """Add a run to both tables, in place of the same run where they have it."""
    for name, old, new in ((TABLE, results(), [row]), (HISTORY, history(), epochs)):
        write_csv(checkout.zoo_file(name), [dataclasses.asdict(each) for each in merged(old, new)])


def merged(old: Iterable[Any], new: Iterable[Any]) -> list[Any]:
    """The rows of both in order of their runs; a run that is new takes the place of the same one among the old."""
    fresh = list(new)
    runs = {row.run for row in fresh}
    return sorted([*(row for row in old if row.run not in runs), *fresh], key=lambda row: _order(row))


def _order(row: Any) -> tuple[Any, ...]:
    return (row.data, row.recipe, -row.epochs, row.model, row.seed, getattr(row, "epoch", 0))


def _read(name: str, kind: Any) -> list[Any]:
    path = checkout.zoo_file(name)
    if not path.is_file():
        return []
    types = {"int": int, "float": float, "str": str}
    fields = {field.name: types[str(field.type)] for field in dataclasses.fields(kind)}
    with path.open(encoding="utf-8", newline="") as file:
        return [kind(**{key: fields[key](value) for key, value in row.items()}) for row in csv.DictReader(file)]
