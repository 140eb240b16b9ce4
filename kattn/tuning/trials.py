"""One trial: a candidate trained by kattn.train in a folder of its own, and KerasTuner's tuner that asks for it."""

from __future__ import annotations

import gc
import json
import statistics
import time
from pathlib import Path
from typing import Any

import keras

from kattn.runs.folder import RunFolder
from kattn.training.callbacks import TrainingDiverged
from kattn.training.progress import Progress
from kattn.training.run import train
from kattn.tuning.plan import Plan, is_worker
from kattn.tuning.space import Candidate, SearchError

RECORD = "trial.json"  # written last: its presence says that the trial is over
OTHERS = 2  # trials that must have come as far before one is judged by them
PAUSE = 0.2  # seconds between a worker's questions while there is nothing to do: KerasTuner's loop asks without rest


class Trials:
    """KerasTuner's loop around `run_trial`, in front of its Tuner (`search`).

    Every process begins anew and asks for the same trials again: those that are over answer from their record. So a
    search goes on from kattn's files alone, which are never half-written; KerasTuner's own are.

    Args:
        plan: The search.
        options: Of the Tuner.
    """

    def __init__(self, plan: Plan, **options: Any) -> None:
        self.plan = plan
        super().__init__(**options)

    def save(self) -> None:
        """Nothing: there is no state besides the trials'."""

    def pre_create_trial(self) -> None:
        """Give a busy chief some rest."""
        if is_worker():
            time.sleep(PAUSE)

    def run_trial(self, trial: Any, *arguments: Any, **options: Any) -> dict[str, float]:
        """Train, and give the validation accuracy."""
        import keras_tuner

        values = trial.hyperparameters.values
        try:
            return {"accuracy": run_trial(self.plan, int(trial.trial_id), values)}
        except Exception as error:
            # KerasTuner swallows every other kind.
            raise keras_tuner.errors.FatalError(f"trial {trial.trial_id}") from _told(self.plan, values, error)


def search(plan: Plan, oracle: Any) -> None:
    """Ask an oracle for trials and train them, until it has no more. Raises the error of a trial that failed."""
    import keras_tuner

    tuner = type("TrialTuner", (Trials, keras_tuner.Tuner), {})
    try:
        tuner(
            plan=plan,
            oracle=oracle,
            directory=str(plan.folder.path),
            project_name="keras_tuner",
            overwrite=not is_worker(),
        ).search()
        return
    except keras_tuner.errors.FatalError as stopped:
        failure = stopped.__cause__ or stopped
    raise failure


class Pruned(Exception):
    """A trial that is not worth going on with."""


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
        """Judge the last epoch before an interruption."""
        self._judge()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Judge the epoch."""
        self._judge()

    def _judge(self) -> None:
        done = self.folder.history()
        if not done or len(done) >= self.epochs:
            return
        folders = [path for path in self.folder.path.parent.iterdir() if path != self.folder.path]
        histories = [RunFolder(path).history() for path in sorted(folders)]
        others = [accuracy_of(rows[len(done) - 1]) for rows in histories if len(rows) >= len(done)]
        if len(others) >= OTHERS and accuracy_of(done[-1]) < statistics.median(others):
            raise Pruned


def run_trial(plan: Plan, number: int, values: dict[str, Any]) -> float:
    """Train a candidate, or go on with it, or read what came of it. Gives its validation accuracy."""
    candidate = plan.space.candidate(values)
    costs = plan.costs.of(candidate)
    epochs = values.get("tuner/epochs")
    folder = RunFolder(folder_of(plan.trials, number, candidate, epochs))
    if (folder.path / RECORD).is_file():
        return float(json.loads((folder.path / RECORD).read_text(encoding="utf-8"))["accuracy"])
    recipe = plan.recipe_of(candidate, epochs)
    plan.say(f"trial {folder.path.name}: {candidate}" + (f", {epochs} epochs" if epochs else ""))
    status = "completed"
    try:
        train(
            candidate.model,
            data=plan.data,
            recipe=recipe,
            out=folder.path,
            seed=plan.settings.seed,
            options=candidate.options,
            callbacks=_callbacks(plan, folder, recipe),
            resume=True,
            verbose=False,
            **plan.settings.loading(),
        )
    except Pruned:
        status = "pruned"
    except TrainingDiverged:
        status = "diverged"  # a result too: no reason to stop, and it would diverge again
    finally:
        gc.collect()  # a network and its traced steps hold each other
    history = folder.history()
    best = status == "completed" and recipe.select == "best"
    accuracies = [0.0] if status == "diverged" else [accuracy_of(row) for row in history]
    accuracy = max(accuracies) if best else accuracies[-1]
    record = {"status": status, "accuracy": accuracy, "epochs": len(history), "model": candidate.model}
    record |= {"values": candidate.values, "options": candidate.options, "recipe": recipe.as_dict(), "costs": costs}
    folder.write_json(RECORD, record)
    plan.say(f"trial {folder.path.name}: validation accuracy {accuracy:.4f}, {status}")
    return accuracy


def folder_of(trials: Path, number: int, candidate: Candidate, epochs: int | None) -> Path:
    """The folder of a candidate trained for so many epochs: the one it has, else one with the trial's number.

    With several workers the numbers depend on who comes first; what was trained is found again by what it is.
    """
    key = candidate.key if epochs is None else f"{candidate.key}-{epochs}"
    return next(iter(sorted(trials.glob(f"*-{key}"))), trials / f"{number:04d}-{key}")


def accuracy_of(row: dict[str, float]) -> float:
    """The validation accuracy of the model's answer in a row of history.csv."""
    names = [name for name in row if name.startswith("val_") and name.endswith("accuracy")]
    main = next((name for name in ("val_accuracy", "val_predictions_accuracy") if name in names), None)
    return row[main or names[0]]


def _callbacks(plan: Plan, folder: RunFolder, recipe: Any) -> list[Any]:
    found: list[Any] = [MedianPruner(folder, recipe.epochs)] if plan.settings.prune else []
    if plan.verbose:
        steps = max(1, len(plan.dataset.train) // recipe.batch_size)
        found.insert(0, Progress(recipe.epochs, steps, {"loss": "loss", "val accuracy": "val_accuracy"}))
    return found


def _told(plan: Plan, values: dict[str, Any], error: Exception) -> SearchError:
    """The error with the candidate that it came from."""
    kind = "" if isinstance(error, (ValueError, RuntimeError, OSError)) else f"{type(error).__name__}: "
    told = SearchError(
        f"The trial {plan.space.candidate(values)} failed: {kind}{error} The other trials are kept; the same call with "
        "resume=True goes on."
    )
    told.__cause__ = error
    return told
