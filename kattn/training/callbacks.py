"""What happens between the epochs of a training run: order of the data, saving, resuming, stopping."""

from __future__ import annotations

import json
import math
from typing import Any

import keras
import numpy as np

from kattn.data.batches import Batches
from kattn.runs.folder import BEST, LAST, STATE, RunError, RunFolder


class TrainingDiverged(RuntimeError):
    """The loss is no longer a number."""


class SetEpoch(keras.callbacks.Callback):
    """Set the number of the epoch in the batches, which draw their order and augmentation from it.

    The batches cannot count by themselves: Keras opens them once more to build the model, and a resumed run does not
    start at 0.

    Args:
        batches: The training batches.
    """

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


class WarnOfGrowth(keras.callbacks.Callback):
    """Print one line when the training loss grows over the first epochs, with what to do.

    Args:
        checkpoint: Knows the epochs of a run that is resumed.
    """

    EPOCHS, GROWTH = 5, 1.1  # which epochs are looked at; times the lowest loss so far

    def __init__(self, checkpoint: RunCheckpoint) -> None:
        super().__init__()
        self.checkpoint = checkpoint

    def on_train_begin(self, logs: Any = None) -> None:
        """Take up the epochs that are over."""
        self.losses = [row["loss"] for row in self.checkpoint.rows if "loss" in row]
        self.said = self._grows()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Look at the losses so far."""
        self.losses.append(float((logs or {}).get("loss", 0.0)))
        if self.said or not self._grows():
            return
        self.said = True
        print(
            f"The training loss grows: {min(self.losses):.4g} at best, {self.losses[-1]:.4g} in epoch {epoch + 1}. The "
            "learning rate is too high for these data: recipe='small_data' (or 'finetune' with trained weights), a "
            "lower learning_rate, or clip_norm=1.0; kattn find-rate draws the loss against the rate.",
            flush=True,
        )

    def _grows(self) -> bool:
        seen = self.losses[: self.EPOCHS]
        return any(loss > self.GROWTH * min(seen[: i + 1]) for i, loss in enumerate(seen))


class RunCheckpoint(keras.callbacks.Callback):
    """Write weights, history and the state to resume from at the end of every epoch, and start from that state.

    The state is one file, written last: a run that is killed at any moment goes on from the last state, repeats what
    came after it, and writes the same files again.

    Args:
        folder: The run's.
        monitor: Name of the metric that says which epoch is best; its loss decides between equals.
        patience: Stop after so many epochs without a better one; 0 never stops.
        average: The callback that swaps in the averaged weights, which are then written as the run's weights.
        writes: Whether this process writes the files; of several only one does.
        lower: A lower value of the metric is better, as of an error.
    """

    def __init__(
        self,
        folder: RunFolder,
        monitor: str | None,
        patience: int = 0,
        average: Any = None,
        writes: bool = True,
        lower: bool = False,
    ) -> None:
        super().__init__()
        self.folder = folder
        self.monitor = monitor
        self.patience = patience
        self.average = average
        self.writes = writes
        self.lower = lower
        self.rows: list[dict[str, float]] = []
        self.state = folder.read_state()
        if self.state is not None:
            self.rows = self._rows(self.state)

    @property
    def first_epoch(self) -> int:
        """The epoch to start with, from 0."""
        return len(self.rows)

    @property
    def best_epoch(self) -> int:
        """Position of the best row; the last one where nothing is monitored."""
        if self.monitor is None:
            return len(self.rows) - 1
        metric, sign = self.monitor, -1 if self.lower else 1
        loss = f"{metric.rpartition('_')[0]}_loss"
        return max(range(len(self.rows)), key=lambda i: (sign * self.rows[i][metric], -self.rows[i].get(loss, 0.0), i))

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
            value = state.get(f"{i:05d}")
            if value is None or value.shape != tuple(variable.shape) or value.dtype.kind not in "biufV":
                raise self._damaged(f"it does not hold {variable.path} of shape {tuple(variable.shape)}")
            variable.assign(value)

    def _rows(self, state: dict[str, np.ndarray]) -> list[dict[str, float]]:
        """The rows of history.csv that the state holds."""
        try:
            rows = json.loads(str(state["history"]))
        except (KeyError, ValueError, RecursionError) as error:
            raise self._damaged(f"its history cannot be read, {error}") from None
        numbers = isinstance(rows, list) and all(
            isinstance(row, dict) and all(type(value) in (int, float) for value in row.values()) for row in rows
        )
        needed = {"epoch", *([self.monitor] if self.monitor else [])}
        if not numbers or not all(needed <= row.keys() for row in rows):
            raise self._damaged(f"its history has no rows of numbers with {', '.join(sorted(needed))}")
        return rows

    def _damaged(self, reason: str) -> RunError:
        return RunError(f"{self.folder.path / STATE} is damaged: {reason}. overwrite=True starts the run anew.")
