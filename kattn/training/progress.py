"""The progress of a training run on the screen: one line an epoch."""

from __future__ import annotations

import sys
import time
from typing import Any

import keras


class Progress(keras.callbacks.Callback):
    """Print one line an epoch.

    On a terminal, the line of the running epoch shows its steps. Elsewhere a long run begins with the time that it
    will take.

    Args:
        epochs, steps: Epochs of the run, steps of an epoch.
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
