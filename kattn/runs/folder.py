"""The folder of a training run: its files, each of which is written whole or not at all.

config.json        everything needed to repeat the run, and the versions it ran with
model.json         the architecture, as Keras writes it
history.csv        one line an epoch
best.weights.h5    weights of the epoch with the best validation accuracy
last.weights.h5    weights of the last epoch
state.npz          what resuming needs; removed when the run is finished
images.npz         which images it is trained on and tested on: a number of each one's content, where these are known
model.keras        the finished model with the weights that were evaluated
metrics.json       the evaluation on the test images; its presence says that the run is finished
tensorboard        where asked for: a folder with the numbers of history.csv, for TensorBoard
.lock              while somebody trains here: who, since when
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from kattn.facts.description import RUN
from kattn.facts.recorded import stated_in
from kattn.facts.stated import BYTES, Stated
from kattn.files import make_folder, reason, remove_unfinished, write_csv, write_json, writing
from kattn.locking import InUse, locked_folder
from kattn.npz import UnreadableNpz, open_npz
from kattn.reading import MOST_BYTES, Unreadable, read_json, read_rows, read_text
from kattn.runs import records
from kattn.runs.errors import RunError as RunError

CONFIG, MODEL, HISTORY, METRICS, STATE = "config.json", "model.json", "history.csv", "metrics.json", "state.npz"
IMAGES = "images.npz"
BEST, LAST, FINISHED = "best.weights.h5", "last.weights.h5", "model.keras"
LOGS = "tensorboard"
# In the order in which they are removed: never does half of a run look finished, or have a state without its weights.
FILES = (METRICS, STATE, FINISHED, BEST, LAST, HISTORY, IMAGES, MODEL, CONFIG)
WEIGHTS = {"best": BEST, "last": LAST}
MOST_MODEL = 16 << 20  # bytes of model.json
READINGS = 5  # of a run whose files another training replaces meanwhile

Content = TypeVar("Content")


class RunFolder:
    """The files of a run.

    Args:
        path: The folder.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser()

    @property
    def started(self) -> bool:
        """Whether a run was started here."""
        return (self.path / CONFIG).is_file()

    @property
    def finished(self) -> bool:
        """Whether a run was finished here."""
        return (self.path / METRICS).is_file()

    @property
    def has_model(self) -> bool:
        """Whether a run was started here and its model written: the mark of a run's folder."""
        return self.started and (self.path / MODEL).is_file()

    @contextlib.contextmanager
    def locked(self, needed: bool = True) -> Iterator[None]:
        """The folder for this process alone while the block runs: made where there is none, removed if it stays empty.

        Args:
            needed: False does nothing: of several processes that train together one holds the folder.

        Raises: RunError where another process holds it, with who does since when, and where it cannot be written.
        """
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(locked_folder(self.path)) if needed else None
            except InUse as problem:
                raise RunError(str(problem)) from None
            except OSError as error:
                raise RunError(f"The run's folder {self.path} cannot be written: {reason(error)}.") from error
            yield

    def check(self, *, resume: bool, overwrite: bool) -> None:
        """Find out, before anything expensive is done, whether a run may be written here.

        Args:
            resume, overwrite: As in kattn.train.

        Raises: RunError where the folder holds a run and neither resume nor overwrite was given.
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

    def start(self, *, clear: bool) -> None:
        """Make the folder; with `clear`, remove the files of the run that it holds, and nothing else."""
        with run_error():
            make_folder(self.path)
        remove_unfinished(self.path, FILES)
        logs = self.path / LOGS
        if logs.is_symlink():
            logs.unlink()
        if clear:
            (self.path / METRICS).unlink(missing_ok=True)
            shutil.rmtree(logs, ignore_errors=True)
            for name in FILES:
                (self.path / name).unlink(missing_ok=True)

    def read_whole(self, read: Callable[[], Content]) -> Content:
        """What `read` reads of several files: all of one run, also where another one takes its place meanwhile.

        A run's first file is its config.json, which is removed last: what was read while that file stayed the same is
        of one run.

        Raises: RunError where runs are written faster than they can be read; what `read` raises.
        """
        for _ in range(READINGS):
            before = self._identity()
            try:
                found = read()
            except (RunError, ValueError, OSError):
                if self._identity() == before:
                    raise
                continue
            if self._identity() == before:
                return found
        raise RunError(f"{self.path} is being written anew. Wait until the training there has ended.")

    def _identity(self) -> tuple[int, ...] | None:
        """What changes when config.json is written anew; None where there is none."""
        try:
            about = os.stat(self.path / CONFIG)
        except OSError:
            return None
        return about.st_ino, about.st_mtime_ns, about.st_size

    def config(self) -> dict[str, Any]:
        """The content of config.json. Raises: RunError also where a value is not of its kind."""
        config = self._read_json(CONFIG)
        if missing := [name for name in ("data", "recipe") if not isinstance(config.get(name), dict)]:
            raise RunError(f"{self.path / CONFIG} is not the configuration of a run: {', '.join(missing)} is missing.")
        records.check(config, records.CONFIG, self.path / CONFIG)
        return config

    def metrics(self) -> dict[str, Any]:
        """The content of metrics.json. Raises: RunError also where a value is not of its kind."""
        classes = len(self.config()["data"].get("class_names", ()))
        metrics = self._read_json(METRICS, MOST_BYTES + 16 * classes**2)  # each pair of classes is counted
        records.check(metrics, records.METRICS, self.path / METRICS)
        return metrics

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a JSON file."""
        with run_error():
            write_json(self.path / name, content)

    def write_history(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Write history.csv, one row an epoch."""
        with run_error():
            write_csv(self.path / HISTORY, rows, list(rows[0]) if rows else ["epoch"])

    def history(self) -> list[dict[str, float]]:
        """The rows of history.csv; empty before the first epoch has ended."""
        file = self.path / HISTORY
        if not file.is_file():
            return []
        try:
            return [{name: records.number(cell) for name, cell in row.items()} for row in read_rows(file)]
        except Unreadable as error:
            raise RunError(f"{file} {error}.") from None
        except ValueError as error:
            raise RunError(f"{file} is damaged: {error}.") from None

    def write_weights(self, name: str, model: Any) -> None:
        """Write a model's weights, without its optimizer, and how the model was built where that is known."""
        from kattn.hdf5 import write_weights
        from kattn.zoo.weights.saving import about_of

        with run_error():
            write_weights(without_optimizer(model), self.path / name, about_of(model))

    def write_model(self, model: Any) -> None:
        """Write the finished model, without its optimizer."""
        from kattn.hdf5 import write_model

        with run_error():
            write_model(without_optimizer(model), self.path / FINISHED)

    def write_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Write what resuming needs, in one file: it is there as a whole or not at all."""
        self._write_arrays(STATE, arrays)

    def read_state(self) -> dict[str, np.ndarray] | None:
        """What write_state wrote, or None before the first epoch has ended."""
        return self._read_arrays(STATE)

    def write_images(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Write what each image of each split holds, as `kattn.data.identity.contents` gives it."""
        self._write_arrays(IMAGES, arrays)

    def read_images(self) -> dict[str, np.ndarray] | None:
        """What write_images wrote; None for a run that does not know its images."""
        found = self._read_arrays(IMAGES)
        if found and any(one.ndim != 1 or one.dtype != np.uint64 for one in found.values()):
            raise RunError(f"{self.path / IMAGES} is damaged: it holds something other than a number for each image.")
        return found

    def _write_arrays(self, name: str, arrays: Mapping[str, np.ndarray]) -> None:
        with self.replacing(name) as temporary, open(temporary, "wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
            file.flush()
            os.fsync(file.fileno())

    def _read_arrays(self, name: str) -> dict[str, np.ndarray] | None:
        file = self.path / name
        if not file.is_file():
            return None
        try:
            with open_npz(file, text=True) as (shapes, read):
                return {name: read(name) for name in shapes}
        except UnreadableNpz as error:
            raise RunError(f"{file} is damaged ({error}). overwrite=True starts the run anew.") from error

    def remove_state(self) -> None:
        """Remove what resuming needed: the run is finished."""
        (self.path / STATE).unlink(missing_ok=True)

    def load_model(self, weights: str | None = None) -> Any:
        """The run's model.

        Args:
            weights: "best" or "last"; None for what the run's recipe selects.

        Raises: RunError before the first epoch has ended, and for files that cannot be read.
        """
        weights = weights or self.config()["recipe"].get("select")
        if weights not in WEIGHTS:
            raise ValueError(f"weights must be 'best' or 'last'. Received: weights={weights!r}")
        file = self.path / WEIGHTS[weights]
        if not file.is_file():
            raise RunError(f"{self.path} has no {file.name} yet: no epoch of the run has ended.")
        try:
            model = _load(self.path / MODEL, file)
        except Exception as error:  # Keras raises errors of many kinds for damaged configurations
            reason = str(error).strip().partition("\n")[0][:300] or type(error).__name__
            if missing := self._missing():
                reason = (
                    f"{', '.join(missing)} is not registered in this process. Import the file that registers it "
                    "(--import my_layers.py on the command line)."
                )
            raise RunError(f"The model in {self.path} ({MODEL}, {file.name}) cannot be read: {reason}") from error
        self.remember(model)
        return model

    def _missing(self) -> list[str]:
        """The classes of one's own that the model names and this process does not know."""
        from kattn.graph.missing import missing_classes  # imports Keras

        try:
            return missing_classes(self._read_json(MODEL, MOST_MODEL))
        except RunError:
            return []

    def remember(self, model: Any) -> None:
        """Keep with the run's model what is recorded of it, as long as it is in memory."""
        from kattn.facts.of_model import remember  # imports Keras

        remember(model, self.stated(), RUN)

    def stated(self) -> Stated:
        """What is recorded of the run's model: its range, how images are resized, labels, kinds of outputs."""
        config = self.config()
        # Before these facts were recorded, every run was of raw pixels.
        said = stated_in(config["facts"]) if "facts" in config else Stated(value_range=BYTES)
        return said.over(stated_in({"labels": config["data"].get("class_names")}))

    @contextlib.contextmanager
    def replacing(self, name: str) -> Iterator[Path]:
        """A temporary file that takes the place of `name` when all went well, and is removed otherwise."""
        with run_error(), writing(self.path / name) as temporary:
            yield temporary

    def _read_json(self, name: str, most: int = MOST_BYTES) -> dict[str, Any]:
        file = self.path / name
        try:
            return read_json(file, most)
        except OSError as error:
            raise RunError(f"{self.path} is no run's folder: {name} cannot be read ({error.strerror}).") from error
        except Unreadable as error:
            raise RunError(f"{file} {error}.") from error


def _load(description: Path, weights: Path) -> Any:
    """A model from its architecture and its weights, both of which are looked at first. Keras's safe mode is on."""
    import keras

    import kattn.layers  # noqa: F401  registers the layers that the file names
    from kattn.graph.sizes import check_size
    from kattn.hdf5 import open_hdf5

    text = read_text(description, MOST_MODEL)
    with open_hdf5(weights) as content:
        shapes = content.shapes
    check_size(lambda: keras.models.model_from_json(text), shapes)
    model = keras.models.model_from_json(text)
    if not isinstance(model, keras.Model):
        raise TypeError(f"{MODEL} describes a {type(model).__name__}, no model")
    model.load_weights(weights)
    return model


def without_optimizer(model: Any) -> Any:
    """A functional model's layers without its optimizer: smaller files, which load without a warning."""
    import keras

    return keras.Model(model.input, model.output, name=model.name)


@contextlib.contextmanager
def run_error() -> Iterator[None]:
    """An error of the operating system as a RunError; `kattn.files` says in it which file, and why."""
    try:
        yield
    except OSError as error:
        raise RunError(error.strerror or str(error)) from error
