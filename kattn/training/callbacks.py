"""What happens between the steps of a training run: data order, saving, resuming, stopping, progress."""

from __future__ import annotations

import json
import math
import sys
import time
from typing import Any

import keras
import numpy as np

from kattn.data.batches import Batches
from kattn.runs.folder import BEST, LAST, RunFolder


class TrainingDiverged(RuntimeError):
    """The loss is no longer a number."""


class Epoch(keras.callbacks.Callback):
    """Tell the batches which epoch it is. Counting in the data would be wrong: Keras opens them once more to build the
    model, and a resumed run does not start at 0."""

    def __init__(self, batches: Batches) -> None:
        super().__init__()
        self.batches = batches

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Set the epoch."""
        self.batches.epoch = epoch
        if keras.backend.backend() == "torch":  # its dropout draws from torch's own generator, not from Keras's seeds
            import torch

            torch.manual_seed(int(np.random.default_rng([self.batches.seed, epoch]).integers(2**62)))


class StopOnNaN(keras.callbacks.Callback):
    """End the run when the loss is NaN or infinite, before the epoch is saved."""

    async_safe = True  # the check does not hold up the next step

    def __init__(self) -> None:
        super().__init__()
        self.step: int | None = None

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Note the first step whose loss is no number."""
        if self.step is None and not math.isfinite(float((logs or {}).get("loss", 0.0))):
            self.step = batch
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Raise TrainingDiverged."""
        loss = float((logs or {}).get("loss", 0.0))
        if self.step is None and math.isfinite(loss):
            return
        where = f"epoch {epoch + 1}" + ("" if self.step is None else f", step {self.step + 1}")
        raise TrainingDiverged(
            f"The loss became {loss} in {where}. Usual remedies: a lower learning_rate, warmup_epochs, clip_norm=1.0 "
            "(all fields of the recipe). The run's folder holds the epochs before."
        )


class Saver(keras.callbacks.Callback):
    """Write weights, history and the state to resume from at the end of every epoch, and start from that state.

    The state is one file, written last: a run that is killed at any moment goes on from the last state, repeats what
    came after it, and writes the same files again.

    Args:
        folder: The run's.
        monitor: Name of the accuracy that says which epoch is best; its loss decides between equals.
        patience: Stop after so many epochs without a better one; 0 never stops.
        average: The callback that swaps in the averaged weights: these are written to the weight files.
        writes: Whether this process writes the files; of several only one does.
    """

    def __init__(
        self, folder: RunFolder, monitor: str | None, patience: int = 0, average: Any = None, writes: bool = True
    ) -> None:
        super().__init__()
        self.folder = folder
        self.monitor = monitor
        self.patience = patience
        self.average = average
        self.writes = writes
        self.rows: list[dict[str, float]] = []
        self.state = folder.read_state()
        if self.state is not None:
            self.rows = json.loads(str(self.state["history"]))

    @property
    def first_epoch(self) -> int:
        """The epoch to start with."""
        return len(self.rows)

    @property
    def best_epoch(self) -> int:
        """Position of the best row; the last one where nothing is monitored."""
        if self.monitor is None:
            return len(self.rows) - 1
        accuracy, loss = self.monitor, self.monitor.replace("accuracy", "loss")
        return max(range(len(self.rows)), key=lambda i: (self.rows[i][accuracy], -self.rows[i].get(loss, 0.0), i))

    def on_train_begin(self, logs: Any = None) -> None:
        """Put the state back: here, after Keras has built everything."""
        if self.state is not None:
            self._restore(self.state)
            self.state = None
            if self.writes:
                self.folder.write_history(self.rows)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Note the learning rate that the epoch begins with."""
        self.rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Write the epoch's files."""
        row = {name: float(value) for name, value in (logs or {}).items()}
        self.rows.append({"epoch": epoch + 1, **row, "learning_rate": self.rate})
        if self.writes:
            self._write()
        if self.out_of_patience():
            self.model.stop_training = True

    def _write(self) -> None:
        if self.average:
            self.average.on_test_begin()
        if self.best_epoch == len(self.rows) - 1:
            self.folder.write_weights(BEST, self.model)
        self.folder.write_weights(LAST, self.model)
        if self.average:
            self.average.on_test_end()
        self.folder.write_history(self.rows)
        self.folder.write_state(self._snapshot())

    def out_of_patience(self) -> bool:
        """Whether there were too many epochs without a better one."""
        return bool(self.patience) and bool(self.rows) and len(self.rows) - 1 - self.best_epoch >= self.patience

    def _variables(self) -> list[Any]:
        """Weights, random seeds, and everything the optimizer keeps, in a fixed order."""
        return [*self.model.variables, *self.model.optimizer.variables]

    def _snapshot(self) -> dict[str, np.ndarray]:
        values = {f"{i:05d}": keras.ops.convert_to_numpy(value) for i, value in enumerate(self._variables())}
        return {"history": np.array(json.dumps(self.rows)), **values}

    def _restore(self, state: dict[str, np.ndarray]) -> None:
        for i, variable in enumerate(self._variables()):
            variable.assign(state[f"{i:05d}"])


class Progress(keras.callbacks.Callback):
    """One line an epoch; on a terminal also the steps of the running one, else the time to expect where that is long.

    Args:
        epochs, steps: Of the whole run, and of an epoch.
        names: Column title -> name among the logs, in order.
    """

    async_safe = True

    def __init__(self, epochs: int, steps: int, names: dict[str, str]) -> None:
        super().__init__()
        self.epochs = epochs
        self.steps = steps
        self.names = names
        self.live = sys.stdout.isatty()
        self.began = self.shown = self.first_step = 0.0
        self.done: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Start the clock."""
        self.epoch = epoch
        self.began = self.shown = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Show where the epoch is."""
        now = time.perf_counter()
        step = batch + 1
        if step == 1:
            self.first_step = now  # compiling is over: what follows says how long a step takes
            return
        each = (now - self.first_step) / (step - 1)
        if self.live and now - self.shown > 0.2 and step < self.steps:
            self.shown = now
            left = _seconds(each * (self.steps - step))
            self._print(f"epoch {self.epoch + 1}/{self.epochs}  step {step}/{self.steps}, {left} left", "")
        elif not self.live and step == 10 and not self.done and each * self.steps > 20:
            whole = _seconds(each * self.steps * (self.epochs - self.epoch))
            self._print(f"about {_seconds(each * self.steps)} an epoch, {whole} in all", "\n")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Print the epoch's line."""
        self.done.append(time.perf_counter() - self.began)
        recent = self.done[1:][-5:] or [time.perf_counter() - self.first_step]  # the first one includes compiling
        left = sum(recent) / len(recent) * (self.epochs - epoch - 1)
        values = "  ".join(
            f"{title} {float(logs[name]):.4f}" for title, name in self.names.items() if name in (logs or {})
        )
        width = len(str(self.epochs))
        tail = f"  {_seconds(left)} left" if epoch + 1 < self.epochs else ""
        self._print(f"epoch {epoch + 1:{width}d}/{self.epochs}  {_seconds(self.done[-1])}  {values}{tail}", "\n")

    def _print(self, line: str, end: str) -> None:
        print(f"\r\033[K{line}" if self.live else line, end=end, flush=True)


def _seconds(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes / 60:.1f} h"
