"""`kattn.compare`: models trained alike with several seeds, and what their differences allow to say."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from kattn.comparison.checking import check_models
from kattn.comparison.cluster import run_cluster
from kattn.comparison.entries import entries_of
from kattn.comparison.errors import ComparisonError
from kattn.comparison.folder import held_folder
from kattn.comparison.jobs import do_jobs
from kattn.comparison.plan import FAILED, Plan
from kattn.comparison.results import NAME, Comparison, collect, write
from kattn.comparison.settings import Settings
from kattn.comparison.times import time_images
from kattn.comparison.workers import run_workers
from kattn.data.loading import source_names, spec_of
from kattn.export.formats import FORMATS
from kattn.facts.stated import read_labels
from kattn.suggest import unknown
from kattn.training.devices import accelerated
from kattn.training.recipes import Recipe
from kattn.training.run import PACKAGES
from kattn.training.settings import as_json
from kattn.version import versions


def compare(
    models: Sequence[Any],
    *,
    data: Any = "digits",
    recipe: str | Path | Mapping[str, Any] | Recipe = "auto",
    overrides: Mapping[str, Any] | None = None,
    epochs: int | None = None,
    seeds: int | Sequence[int] = 3,
    options: Mapping[str, Any] | None = None,
    weights: str | Path | None = None,
    precision: str = "float32",
    class_weight: str | Mapping[Any, float] | None = None,
    image_size: int | tuple[int, int] | None = None,
    validation: float = 0.1,
    split_seed: int = 0,
    limit: int | None = None,
    on_error: str = "raise",
    data_dir: str | Path | None = None,
    export: Sequence[str] = (),
    confidence: float = 0.95,
    out: str | Path | None = None,
    workers: int | None = None,
    threads: int = 1,
    cluster: Any = None,
    imports: Sequence[str | Path] = (),
    resume: bool = True,
    overwrite: bool = False,
    verbose: bool = True,
    value_range: tuple[float, float] | None = None,
    resize: str | None = None,
    interpolation: str | None = None,
    labels: Sequence[str] | str | Path | None = None,
) -> Comparison:
    """Train models by one recipe with several seeds, and compare each with the first one, seed by seed.

    Every run is an ordinary run of kattn.train in a folder of its own. A comparison that was stopped (Ctrl-C,
    kill -9) goes on with the same call: runs that are over are not repeated, and the results are the same, byte for
    byte, as those of a comparison that was not stopped, whatever the number of workers. A later call may add models,
    seeds and exports.

    Args:
        models: Names of the zoo ("se_resnet20"), names with options ("se_resnet20:reduction=8,stages=(2,3)" or
            ("se_resnet20", {"reduction": 8})), .keras files, functional models. The first one is what the others are
            compared with. A functional model starts from the weights that it has, with every seed.
        data: As for kattn.train, also for image_size, validation, split_seed, limit, on_error, data_dir. Arrays are
            trained on in this process.
        recipe, overrides: As for kattn.train. "auto" takes one recipe for all: "finetune" where models start from
            weights, "small_data" for fewer than 1000 training images, else "quick".
        epochs: In place of the recipe's.
        seeds: A number: that many from 0; or the seeds.
        options: Of every name of the zoo, such as {"widths": (8, 16, 32)}.
        weights: What every name of the zoo starts from: a tag ("cifar10", "imagenet") or a file.
        precision, class_weight: As for kattn.train.
        export: "format" or "format:precision" each, such as "tflite:int8" and "onnx": each run is exported and its
            file evaluated.
        confidence: Of the intervals.
        out: The comparison's folder; None is runs/compare-<first model>-<data>-<recipe>.
        workers: Processes that train at the same time on this machine. None: one for every `threads` cores; where Keras
            has a GPU, and for arrays, none: the runs take turns in this process.
        threads: Of each worker's run. Results depend on it to the last digits, so it does not follow from `workers`.
        cluster: Runs on several machines in place of workers: the address of a dask scheduler, its scheduler file
            (.json), a dask cluster object, such as dask_jobqueue.SLURMCluster(...), or a Client. They see `out` and the
            data at the same paths. Needs the extra: pip install "kattn[cluster]".
        imports: Python files that workers run first, such as one that registers layers of yours.
        resume: False refuses a folder that holds a comparison.
        overwrite: Start anew in a folder that holds a comparison.
        verbose: Print the runs as they end, and the table.
        value_range: What functional models take for 8-bit images, where their first layers do not say it.
        resize, interpolation, labels: As for kattn.train.

    Returns: The Comparison; printed, it is the table and what it allows to say. Its folder holds comparison.csv, .json,
        .md, .png and .html, runs.csv, times.csv and the runs.
    Raises: Before any training: ValueError for models that do not fit the data, and arguments that do not fit together;
        ComparisonError for a folder that holds another comparison, or that another process uses. Later: ComparisonError
        where runs failed (those that diverged are part of the results).
    """
    entries, given = entries_of(models, options, weights)
    spec, numbers = spec_of(data), _seeds(seeds)
    exports = [_export(each) for each in export]
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is a share between 0 and 1, such as 0.95. Received: confidence={confidence!r}")
    _check_processes(workers, threads, cluster, spec)
    reading: dict[str, Any] = {
        "image_size": image_size,
        "validation": validation,
        "split_seed": split_seed,
        "limit": limit,
    }
    reading |= {"on_error": on_error, "data_dir": None if data_dir is None else os.path.abspath(data_dir)}
    labels = None if labels is None else read_labels(labels)
    said = {"value_range": value_range, "resize": resize, "interpolation": interpolation, "labels": labels}
    reading |= {name: value for name, value in said.items() if value is not None}
    changes = {**(overrides or {}), **({} if epochs is None else {"epochs": epochs})}
    costs, dataset, recipe, chosen, why = check_models(entries, given, data, reading, precision, recipe, changes)
    here = cluster is None and workers is None and (spec is None or accelerated())
    settings = Settings(
        models=[asdict(entry) for entry in entries],
        seeds=numbers,
        data=spec,
        reading=as_json(reading),
        recipe=str(recipe) if isinstance(recipe, str | Path) else None,
        fields=chosen.as_dict(),
        precision=precision,
        class_weight=as_json(class_weight),
        threads=None if here else threads,
        export=exports,
        confidence=confidence,
        about=as_json(dataset.describe()),
        costs=costs,
        backend=_backend(),
        versions=versions((*PACKAGES, "scipy")),
        imports=[os.path.abspath(file) for file in imports],
    )
    path = Path(out or _default_folder(entries[0].slug, spec, settings.recipe)).expanduser()
    plan = Plan(settings, path, data if here else spec, given if here else {}, verbose)
    with held_folder(plan, given, resume=resume, overwrite=overwrite):
        reporter = _Reporter(plan)
        count = min(workers or max(1, _cores() // threads), len(plan.jobs))
        where = "in this process" if here else "on the cluster" if cluster is not None else f"in {count} processes"
        plan.say(f"{len(entries)} models, {len(plan.jobs)} runs on {dataset.name}, {where}, in {path}")
        if why:
            plan.say(f"recipe {recipe}: {why} (recipe= or --recipe takes another)")
        reporter.look()
        if all(map(plan.over, plan.jobs)):
            pass
        elif here:
            for job in plan.jobs:
                do_jobs(plan, [job])
                reporter.look()
        elif cluster is not None:
            run_cluster(plan, cluster, reporter.look)
        else:
            run_workers(plan, count, reporter.look)
        found = replace(reporter.results(), times=time_images(plan))
    failed = [f"{row.model}, seed {row.seed}: {row.why}" for row in found.runs if row.status == FAILED]
    if failed:
        raise ComparisonError(
            f"{len(failed)} of {len(found.runs)} runs failed: {' '.join(failed)[:2000]} The others are kept in {path}; "
            "the same call tries these again."
        )
    plan.say(f"\n{found}\n{path / f'{NAME}.html'}")
    return found


class _Reporter:
    """Says which runs have ended, and writes the results so far."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.seen = {job.name for job in plan.jobs if plan.over(job)}
        self.found: Comparison | None = None

    def look(self) -> bool:
        """Report the runs that have ended since the last look. Returns: whether there were any."""
        plan = self.plan
        ended = [job for job in plan.jobs if job.name not in self.seen and plan.over(job)]
        if not ended:
            return False
        found = self.found = collect(plan)
        for job in ended:
            self.seen.add(job.name)
            row = next(row for row in found.runs if (row.model, row.seed) == (job.entry.label, job.seed))
            measure = found.measure
            said = row.status if row.value is None else f"{measure.title} {measure.shown(row.value)}{measure.unit}"
            plan.say(f"{len(self.seen)} of {len(plan.jobs)}: {job}: {said}")
        write(plan, found)
        return True

    def results(self) -> Comparison:
        """The results of all runs, written too where no run has ended since this object was made."""
        self.look()
        if self.found is None:
            self.found = collect(self.plan)
            write(self.plan, self.found)
        return self.found


def _default_folder(first: str, spec: str | None, recipe: str | None) -> Path:
    sources = "-to-".join(Path(source).name for source in source_names(spec or "arrays"))
    return Path("runs") / "-".join(["compare", first, sources, Path(recipe).stem if recipe else "own"])


def _seeds(seeds: int | Sequence[int]) -> list[int]:
    found = list(range(seeds) if isinstance(seeds, int) else seeds)
    whole = not isinstance(seeds, bool) and all(type(seed) is int and seed >= 0 for seed in found)
    if not whole or not found or len(set(found)) < len(found):
        raise ValueError(f"seeds is a number of at least 1, or a list of whole numbers from 0. Received: {seeds!r}")
    return found


def _export(text: str) -> str:
    """A "format:precision" with its precision said."""
    name, _, precision = text.partition(":")
    valid = {key: row for key, row in FORMATS.items() if row.exporter_path}
    if name not in valid:
        raise unknown("format", name, valid)
    precision = precision or next(iter(valid[name].precisions))
    valid[name].check_precision(precision)
    return f"{name}:{precision}"


def _check_processes(workers: Any, threads: Any, cluster: Any, spec: str | None) -> None:
    for name, value in (("workers", workers), ("threads", threads)):
        if value is not None and (type(value) is not int or value < 1):
            raise ValueError(f"{name} is a whole number of at least 1. Received: {name}={value!r}")
    if workers is not None and cluster is not None:
        raise ValueError("workers are processes of this machine, cluster is for others: give one of the two.")
    if spec is None and (workers is not None or cluster is not None):
        raise ValueError("Workers read the data themselves: data must be a name or a path.")
    if cluster is not None and importlib.util.find_spec("distributed") is None:
        raise ValueError('cluster= (--cluster) needs dask: pip install "kattn[cluster]".')


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _backend() -> str:
    import keras

    return str(keras.backend.backend())
