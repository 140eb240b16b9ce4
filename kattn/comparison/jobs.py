"""One run of a comparison: trained by kattn.train in a folder of its own, exported, and put on record."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from kattn.comparison.entries import Entry
from kattn.comparison.plan import DIVERGED, FAILED, FINISHED, OUTCOME, RUNS, Job, Plan
from kattn.evaluation.evaluation import evaluate
from kattn.export.errors import ExportError, ExportInputError
from kattn.export.formats import FORMATS
from kattn.facts.pixels import converted
from kattn.facts.stated import Stated
from kattn.files import make_folder, write_json
from kattn.graph.copies import copy_model
from kattn.locking import InUse, locked
from kattn.runs.folder import RunFolder
from kattn.runs.opening import load_keras
from kattn.training.callbacks import TrainingDiverged
from kattn.training.images import needs_conversion
from kattn.training.preparing import Task, load_task
from kattn.training.recipes import recipe_files
from kattn.training.run import train
from kattn.training.settings import same_numerics

CALIBRATION_IMAGES = 500
PERIOD = 1.0  # seconds between looks at runs that other processes do
STATED = ("value_range", "resize", "interpolation", "labels")


def do_jobs(plan: Plan, jobs: Iterable[Job]) -> None:
    """Do these runs, one after the other; those that other processes do are waited for, and done if these end."""
    make_folder(plan.path / RUNS)
    left = list(jobs)
    while left := [job for job in left if not plan.over(job)]:
        busy = True
        for job in left:
            try:
                with locked(plan.claim(job)):
                    if not plan.over(job):
                        busy = False
                        do_job(plan, job)
            except InUse:
                continue
        if busy:
            time.sleep(PERIOD)


def do_job(plan: Plan, job: Job) -> None:
    """Train, or go on with a run, and export it. What came of it is written to outcome.json.

    A run that diverges is a result. One that fails is on record until the next call of kattn.compare.
    """
    folder = RunFolder(plan.folder(job))
    before = plan.outcome(job) or {"artefacts": {}}
    outcome: dict[str, Any] = {"status": FINISHED, "epochs": 0, "why": "", "artefacts": before["artefacts"]}
    try:
        run = _train(plan, job, folder)
        outcome["epochs"] = len(run.history)
        wanted = [each for each in plan.settings.export if each not in outcome["artefacts"]]
        outcome["artefacts"] |= _artefacts(plan, job, run, wanted)
    except TrainingDiverged as problem:
        outcome |= {"status": DIVERGED, "epochs": len(folder.history()), "why": str(problem)}
    except OSError:
        raise  # a full disk has no room for a record either
    except Exception as problem:
        outcome |= {"status": FAILED, "why": f"{type(problem).__name__}: {problem}"}
    finally:
        gc.collect()  # a network and its traced steps hold each other
    make_folder(folder.path)
    write_json(folder.path / OUTCOME, outcome)


def _train(plan: Plan, job: Job, folder: RunFolder) -> Any:
    settings = plan.settings
    go_on = not folder.started or folder.finished or same_numerics(folder)  # else begun by an older kattn
    model = model_of(plan, job.entry)
    committed = settings.recipe if settings.recipe in recipe_files() else None
    return train(
        model,
        data=plan.data,
        recipe=committed or settings.fields,
        overrides=settings.fields if committed else None,
        out=folder.path,
        seed=job.seed,
        options=job.entry.options or None,
        precision=settings.precision if isinstance(model, str) else "float32",
        class_weight=settings.class_weight,
        resume=go_on,
        overwrite=not go_on,
        verbose=plan.verbose,
        **reading_for(model, settings.reading),
    )


def model_of(plan: Plan, entry: Entry) -> Any:
    """What kattn.train takes: a name, or a fresh copy of a functional model, whose weights are as they were given."""
    if not entry.digest:
        return entry.model
    if entry.label in plan.given:
        return copy_model(plan.given[entry.label])[0]
    return load_keras(plan.path / entry.model)


def reading_for(model: Any, reading: Mapping[str, Any]) -> dict[str, Any]:
    """How a model's data are read: a value range is stated of Keras models only."""
    said = dict(reading)
    for name in ("image_size", "value_range"):
        if isinstance(said.get(name), list):
            said[name] = tuple(said[name])
    if isinstance(model, str):
        said.pop("value_range", None)
    return said


def task_of(model: Any, options: Mapping[str, Any], data: Any, reading: Mapping[str, Any], precision: str) -> Task:
    """A model of a comparison with its data, checked as kattn.train does it."""
    said = reading_for(model, reading)
    stated = Stated(**{name: said.pop(name) for name in STATED if name in said})
    limit = said.pop("limit")
    precision = precision if isinstance(model, str) else "float32"
    return load_task(model, data, options or None, stated, said, precision=precision, limit=limit)


def _artefacts(plan: Plan, job: Job, run: Any, wanted: list[str]) -> dict[str, dict[str, Any]]:
    """Export a run, and evaluate each file on the test images. A refused export is on record with its reason."""
    if not wanted:
        return {}
    settings = plan.settings
    task = task_of(model_of(plan, job.entry), job.entry.options, plan.data, settings.reading, settings.precision)
    images = task.dataset.train.images[:CALIBRATION_IMAGES].astype("float32")
    if needs_conversion(task.given):
        images = converted(images, given=task.given, model=task.name)
    found: dict[str, dict[str, Any]] = {}
    for each in wanted:
        name, _, precision = each.partition(":")
        row = FORMATS[name]
        file = Path(run.path) / row.file_name(run.model.name, precision)
        try:
            report = row.export(run.model, file, precision=precision, calibration=images)
            found[each] = {"file": file.name, "bytes": report.bytes, "metrics": evaluate(file, task.dataset).to_dict()}
        except (ExportError, ExportInputError) as problem:
            found[each] = {"error": str(problem).partition("\n")[0][:300]}
    return found
