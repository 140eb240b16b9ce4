"""The folder of a training run: what it holds, and how it is written so that a crash never leaves half a file.

config.json        everything needed to repeat the run, and the versions it ran with
model.json         the architecture, as Keras writes it
history.csv        one line an epoch
best.weights.h5    weights of the epoch with the best validation accuracy
last.weights.h5    weights of the last epoch
state.npz          what resuming needs; gone when the run is finished
model.keras        the finished model with the weights that were evaluated
metrics.json       the evaluation on the test images; its presence says that the run is finished
tensorboard        where asked for: a folder of the same numbers as history.csv, for TensorBoard
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

CONFIG, MODEL, HISTORY, METRICS, STATE = "config.json", "model.json", "history.csv", "metrics.json", "state.npz"
BEST, LAST, FINISHED = "best.weights.h5", "last.weights.h5", "model.keras"
LOGS = "tensorboard"
FILES = (CONFIG, MODEL, HISTORY, METRICS, STATE, BEST, LAST, FINISHED)


class RunError(RuntimeError):
    """A run's folder that cannot be used as asked: what is there, and what to do."""


class RunFolder:
    """The files of a run.

    Args:
        path: The folder.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser()

    @property
    def started(self) -> bool:
        """Whether a run was begun here."""
        return (self.path / CONFIG).is_file()

    @property
    def finished(self) -> bool:
        """Whether a run was completed here."""
        return (self.path / METRICS).is_file()

    @property
    def has_model(self) -> bool:
        """Whether a run was begun here and its model written: what makes a folder the folder of a run."""
        return self.started and (self.path / MODEL).is_file()

    def check(self, *, resume: bool, overwrite: bool, probe: bool = True) -> None:
        """Find out, before anything expensive is done, whether a run may and can be written here. Leaves no trace.

        Without `probe`, writing is not tried: of several processes one tries.

        Raises: RunError where it holds a run and neither resume nor overwrite was said, or where it cannot be written.
        """
        if self.finished and not overwrite and not resume:
            raise RunError(
                f"{self.path} holds a finished run. Choose another folder, or overwrite=True to train anew over it."
            )
        if self.started and not (resume or overwrite):
            raise RunError(
                f"{self.path} holds a run that is not finished. resume=True goes on with it, overwrite=True starts "
                "anew."
            )
        if not probe:
            return
        try:
            missing = [folder for folder in (self.path, *self.path.parents) if not folder.exists()]
            self.path.mkdir(parents=True, exist_ok=True)
            try:
                with tempfile.TemporaryFile(dir=self.path):
                    pass
            finally:
                for folder in missing:
                    folder.rmdir()
        except OSError as error:
            raise RunError(f"The run's folder {self.path} cannot be written: {error.strerror}.") from error

    def start(self, *, clear: bool) -> None:
        """Make the folder; with `clear`, remove the files of the run that it holds, and nothing else."""
        self.path.mkdir(parents=True, exist_ok=True)
        for name in FILES if clear else ():
            (self.path / name).unlink(missing_ok=True)
        if clear:
            shutil.rmtree(self.path / LOGS, ignore_errors=True)

    def config(self) -> dict[str, Any]:
        """What config.json holds."""
        return self._read_json(CONFIG)

    def metrics(self) -> dict[str, Any]:
        """What metrics.json holds."""
        return self._read_json(METRICS)

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a JSON file."""
        with self.replacing(name) as temporary:
            temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")

    def write_history(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Write history.csv; numbers are written in full, so that equal runs give equal files."""
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]) if rows else ["epoch"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        with self.replacing(HISTORY) as temporary:
            temporary.write_text(text.getvalue(), encoding="utf-8")

    def history(self) -> list[dict[str, float]]:
        """The rows of history.csv; empty before the first epoch has ended."""
        file = self.path / HISTORY
        if not file.is_file():
            return []
        with open(file, encoding="utf-8", newline="") as lines:
            return [{name: _number(value) for name, value in row.items()} for row in csv.DictReader(lines)]

    def write_weights(self, name: str, model: Any) -> None:
        """Write a model's weights, without its optimizer."""
        with self.replacing(name) as temporary:
            bare(model).save_weights(temporary)

    def write_model(self, model: Any) -> None:
        """Write the finished model, without its optimizer."""
        with self.replacing(FINISHED) as temporary:
            bare(model).save(temporary)

    def write_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Write what resuming needs, in one file: it is there as a whole or not at all."""
        with self.replacing(STATE) as temporary, open(temporary, "wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
            file.flush()
            os.fsync(file.fileno())

    def read_state(self) -> dict[str, np.ndarray] | None:
        """What write_state wrote, or None before the first epoch has ended."""
        file = self.path / STATE
        if not file.is_file():
            return None
        try:
            with np.load(file, allow_pickle=False) as arrays:
                return dict(arrays)
        except (OSError, ValueError, EOFError) as error:
            raise RunError(f"{file} is damaged ({error}). overwrite=True starts the run anew.") from error

    def load_model(self, weights: str | None = None) -> Any:
        """The run's model with its "best" or "last" weights; None is what the run's recipe selects.

        Raises: RunError before the first epoch has ended.
        """
        import keras

        import kattn.layers  # noqa: F401  registers the layers that the file names

        weights = weights or self.config()["recipe"]["select"]
        if weights not in ("best", "last"):
            raise ValueError(f"weights must be 'best' or 'last'. Received: weights={weights!r}")
        file = self.path / (BEST if weights == "best" else LAST)
        if not file.is_file():
            raise RunError(f"{self.path} has no {file.name} yet: no epoch of the run has ended.")
        model = keras.models.model_from_json((self.path / MODEL).read_text(encoding="utf-8"))
        model.load_weights(file)
        return model

    @contextlib.contextmanager
    def replacing(self, name: str) -> Iterator[Path]:
        """A temporary file that takes the place of `name` when all went well, and is removed otherwise."""
        temporary = self.path / f".writing-{name}"
        try:
            yield temporary
            os.replace(temporary, self.path / name)
        except OSError as error:
            raise RunError(f"{self.path / name} could not be written: {error.strerror or error}") from error
        finally:
            temporary.unlink(missing_ok=True)

    def _read_json(self, name: str) -> dict[str, Any]:
        file = self.path / name
        try:
            return json.loads(file.read_text(encoding="utf-8"))
        except OSError as error:
            raise RunError(f"{self.path} is no run's folder: {name} cannot be read ({error.strerror}).") from error
        except json.JSONDecodeError as error:
            raise RunError(f"{file} is damaged: {error}.") from error


def bare(model: Any) -> Any:
    """A functional model's layers without its optimizer: smaller files, which load without a warning."""
    import keras

    return keras.Model(model.inputs, model.output, name=model.name)


def _number(text: str) -> float:
    number = float(text)
    return int(number) if text.lstrip("-").isdigit() else number
