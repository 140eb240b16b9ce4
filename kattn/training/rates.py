"""`kattn.training.find_rate`: the loss against the learning rate, and the rate to begin with."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kattn.facts.pixels import converted
from kattn.facts.stated import Stated
from kattn.files import make_folder, write_csv
from kattn.training.fitting import batches_for, compile_for
from kattn.training.images import needs_conversion
from kattn.training.kinds import recipe_for
from kattn.training.preparing import load_task
from kattn.training.recipes import Recipe

TABLE, PICTURE = "rates.csv", "rates.png"
SMOOTHING = 0.9  # of the losses, as a moving average without its start's bias
DIVERGED = 4.0  # times the lowest smoothed loss: where the test ends
SAFETY = 10.0  # the rate that is suggested is the one of the lowest loss over this


@dataclass(frozen=True)
class Rates:
    """The result of a learning-rate range test.

    Attributes:
        path: The folder with rates.csv and rates.png.
        rates, losses: One a step; losses smoothed.
        suggested: A tenth of the rate at which the loss was lowest: the recipe's `learning_rate`.
        recipe: The name of the recipe that was tested, "own" for one without.
    """

    path: Path
    rates: list[float]
    losses: list[float]
    suggested: float
    recipe: str

    def __str__(self) -> str:
        lowest = self.rates[int(np.argmin(self.losses))]
        return (
            f"lowest loss {min(self.losses):.4g} at rate {lowest:.2g}; a tenth of it, {self.suggested:.2g}, is a "
            f"learning_rate to begin with (recipe {self.recipe}); {self.path / PICTURE}"
        )


def find_rate(
    model: Any,
    *,
    data: Any = "digits",
    recipe: str | Path | Mapping[str, Any] | Recipe = "auto",
    overrides: Mapping[str, Any] | None = None,
    low: float = 1e-5,
    high: float = 10.0,
    steps: int = 100,
    out: str | Path = "runs/find-rate",
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
    precision: str = "float32",
    image_size: int | tuple[int, int] | None = None,
    limit: int | None = None,
    data_dir: str | Path | None = None,
    verbose: bool = True,
    **stated: Any,
) -> Rates:
    """Train for some steps with a rising rate, and see where the loss falls and where it blows up.

    The learning-rate range test of Smith, arXiv:1506.01186.

    Args:
        model, data, recipe, overrides, seed, options, precision, image_size, limit, data_dir: As for kattn.train; the
            recipe's optimizer, batch size and augmentation are used, its rate and schedule are not. A Keras model is
            trained by the test: pass a copy.
        low, high: The first and the last rate.
        steps: Steps in between, evenly spaced in the logarithm; a loss of four times the lowest ends the test.
        out: The folder for rates.csv and rates.png.
        verbose: Print the result.
        stated: What is known of a Keras model's input; see `kattn.facts.stated.Stated`.

    Returns: The Rates.
    Raises: ValueError for rates that are no range, and whatever kattn.train raises before any training.
    """
    if not 0 < low < high or not math.isfinite(high) or type(steps) is not int or steps < 10:
        raise ValueError(
            f"rates rise from low to high, both above 0, in at least 10 steps. Received: {low=}, {high=}, {steps=}"
        )
    settings: dict[str, Any] = {"image_size": image_size, "validation": 0.1, "split_seed": 0, "on_error": "raise"}
    settings["data_dir"] = None if data_dir is None else str(data_dir)
    task = load_task(model, data, options, Stated(**stated), settings, precision=precision, limit=limit)
    name, chosen, _ = task.recipe(recipe, overrides)
    network, row, _ = task.build(chosen, seed, precision)
    feed = functools.partial(converted, given=task.given, model=task.name) if needs_conversion(task.given) else None
    chosen = recipe_for(row, chosen)
    batches, _ = batches_for(network, task.dataset, chosen, seed, as_input=feed, row=row)
    metrics = [row.metric(name=row.name)] if row.metric else None
    compile_for(network, chosen, len(batches), row.sides, loss=row.loss and row.loss(), metrics=metrics)
    rising = keras.optimizers.schedules.ExponentialDecay(low, 1, (high / low) ** (1 / (steps - 1)))
    network.optimizer.learning_rate = rising
    test = _Test(batches, steps)
    epochs = math.ceil(steps / len(batches))
    network.fit(batches, epochs=epochs, shuffle=False, verbose=0, callbacks=[test])
    rates = [low * (high / low) ** (i / (steps - 1)) for i in range(len(test.losses))]
    path = Path(out).expanduser()
    make_folder(path)
    write_csv(path / TABLE, [{"rate": rate, "loss": loss} for rate, loss in zip(rates, test.losses, strict=True)])
    shown = str(name) if isinstance(name, str | Path) else "own"
    suggested = rates[int(np.argmin(test.losses))] / SAFETY
    found = Rates(path, rates, test.losses, suggested, shown)
    _draw(found, f"{task.name} on {task.dataset.name}, {shown}")
    if verbose:
        print(found, flush=True)
    return found


class _Test(keras.callbacks.Callback):
    """Keeps the smoothed loss of each step, and ends the training after the last one or when it blows up."""

    def __init__(self, batches: Any, steps: int) -> None:
        super().__init__()
        self.batches, self.steps = batches, steps
        self.losses: list[float] = []
        self.average, self.mean = 0.0, 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Set the epoch, which the order of the images depends on."""
        self.batches.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Take up the step's loss: Keras gives the mean over the epoch so far."""
        mean = float((logs or {})["loss"])
        loss = mean * (batch + 1) - (self.mean * batch if batch else 0.0)
        self.mean = mean
        self.average = SMOOTHING * self.average + (1 - SMOOTHING) * loss
        smoothed = self.average / (1 - SMOOTHING ** (len(self.losses) + 1))
        if not math.isfinite(smoothed) or (self.losses and smoothed > DIVERGED * min(self.losses)):
            self.model.stop_training = self.over = True
        elif not self.over:
            self.losses.append(smoothed)
            self.model.stop_training = self.over = len(self.losses) >= self.steps

    over = False


def _draw(found: Rates, title: str) -> None:
    from kattn.explain.drawing.pictures import new_figure, save_figure
    from kattn.explain.drawing.text import label

    figure = new_figure(6.5, 4)
    axes = figure.add_subplot()
    axes.plot(found.rates, found.losses)
    axes.axvline(found.suggested, color="tab:orange", label=f"a tenth of the lowest: {found.suggested:.2g}")
    axes.set(xscale="log", xlabel="learning rate", ylabel="training loss, smoothed", title=label(title))
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    save_figure(figure, found.path / PICTURE)
