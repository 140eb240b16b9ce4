"""One trial: a candidate trained by kattn.train in a folder of its own, and KerasTuner's tuner that asks for it."""

from __future__ import annotations

import gc
import time
from pathlib import Path
from typing import Any

import keras_tuner

from kattn.files import counted, write_json
from kattn.runs.folder import RunFolder
from kattn.training.callbacks import TrainingDiverged
from kattn.training.progress import Progress
from kattn.training.recipes import Recipe
from kattn.training.run import train
from kattn.training.settings import same_numerics
from kattn.tuning.plan import Plan, is_worker
from kattn.tuning.pruning import MedianPruner, Pruned, accuracy_of
from kattn.tuning.records import TRIAL, SearchError, read_record
from kattn.tuning.space import Candidate

RECORD = "trial.json"  # written last: its presence says that the trial is over
PAUSE = 0.2  # seconds between a worker's questions while there is nothing to do: KerasTuner's loop asks without rest


class TrialTuner(keras_tuner.Tuner):
    """KerasTuner's loop around `run_trial`.

    Every process starts anew and asks for the same trials again; those that are over answer from their record. So a
    search goes on from kattn's files alone, which are always whole; KerasTuner's own files may not be.

    Args:
        plan: The search.
        oracle: It hands out the trials.
    """

    def __init__(self, plan: Plan, oracle: keras_tuner.Oracle) -> None:
        self.plan = plan
        super().__init__(oracle=oracle, directory=str(plan.path), project_name="keras_tuner", overwrite=not is_worker())

    def save(self) -> None:
        """Nothing: there is no state besides the trials'."""

    def pre_create_trial(self) -> None:
        """Give a busy chief some rest."""
        if is_worker():
            time.sleep(PAUSE)

    def run_trial(self, trial: Any, *arguments: Any, **options: Any) -> dict[str, float]:
        """Train, and give the validation accuracy."""
        values = trial.hyperparameters.values
        try:
            return {"accuracy": run_trial(self.plan, int(trial.trial_id), values)}
        except Exception as error:
            failure = _failure(self.plan.space.candidate(values), error)
            raise keras_tuner.errors.FatalError(str(failure)) from failure  # KerasTuner goes on after every other kind


def search(plan: Plan, oracle: keras_tuner.Oracle) -> None:
    """Ask an oracle for trials and train them, until it has no more.

    Raises: SearchError where a trial failed.
    """
    try:
        TrialTuner(plan, oracle).search()
        return
    except keras_tuner.errors.FatalError as stopped:
        failure = stopped.__cause__ or stopped
    except Exception as error:  # KerasTuner writes files of its own, with TensorFlow's functions where they are there
        full = "No space left on device" in str(error)
        if not full and not isinstance(error, OSError):
            raise
        ours = isinstance(error, OSError) or not full
        why = str(error) if ours else "a file of KerasTuner could not be written: the disk is full. Make room."
        failure = SearchError(
            f"The search in {plan.path} cannot go on: {why} The trials that are over are kept; resume=True goes on."
        )
        failure.__cause__ = error
    raise failure


def run_trial(plan: Plan, number: int, values: dict[str, Any]) -> float:
    """Train a candidate, or go on with it, or read its record.

    Args:
        plan: The search.
        number: Of the trial.
        values: The candidate's, as KerasTuner gives them.

    Returns: Its validation accuracy; 0 where the training diverged.
    """
    candidate = plan.space.candidate(values)
    costs = plan.costs.of(candidate)
    epochs = values.get("tuner/epochs")
    folder = RunFolder(folder_of(plan.trials, number, candidate, epochs))
    if (folder.path / RECORD).is_file():
        return float(read_record(folder.path / RECORD, TRIAL)["accuracy"])
    recipe = plan.recipe_of(candidate, epochs)
    plan.say(f"trial {folder.path.name}: {candidate}" + (f", {counted(epochs, 'epoch')}" if epochs else ""))
    go_on = not folder.started or same_numerics(folder)  # one that was begun by an older kattn is trained anew
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
            resume=go_on,
            overwrite=not go_on,
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
    write_json(folder.path / RECORD, record)
    plan.say(f"trial {folder.path.name}: validation accuracy {accuracy:.4f}, {status}")
    return accuracy


def folder_of(trials: Path, number: int, candidate: Candidate, epochs: int | None) -> Path:
    """The folder of a candidate trained for so many epochs: the one it has, else a new one with the trial's number.

    With several workers the numbers depend on which comes first; a trained candidate is found by its key.
    """
    key = candidate.key if epochs is None else f"{candidate.key}-{epochs}"
    return next(iter(sorted(trials.glob(f"*-{key}"))), trials / f"{number:04d}-{key}")


def _callbacks(plan: Plan, folder: RunFolder, recipe: Recipe) -> list[Any]:
    found: list[Any] = [MedianPruner(folder, recipe.epochs)] if plan.settings.prune else []
    if plan.verbose:
        steps = max(1, len(plan.dataset.train) // recipe.batch_size)
        found.insert(0, Progress(recipe.epochs, steps, {"loss": "loss", "val accuracy": "val_accuracy"}))
    return found


def _failure(candidate: Candidate, error: Exception) -> SearchError:
    """The error of a trial, with the candidate that it came from."""
    kind = "" if isinstance(error, (ValueError, RuntimeError, OSError)) else f"{type(error).__name__}: "
    failure = SearchError(
        f"The trial {candidate} failed: {kind}{error} The other trials are kept; the same call with resume=True "
        "goes on."
    )
    failure.__cause__ = error
    return failure
