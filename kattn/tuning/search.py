"""`kattn.tune`: which reduction, mechanism or place is best for these data and this device. KerasTuner underneath."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kattn.data.loading import load
from kattn.suggest import unknown
from kattn.training.recipes import Recipe, load_recipe
from kattn.tuning.costs import COSTS
from kattn.tuning.folder import held_folder, wait_for_chief, wait_for_results
from kattn.tuning.plan import STRATEGIES, Plan, Settings, is_chief, is_worker
from kattn.tuning.results import Search, collect
from kattn.tuning.space import DEFAULT_SPACE, Space
from kattn.version import __version__


def tune(
    model: str = "se_resnet20",
    *,
    data: Any = "digits",
    space: Mapping[str, Any] | None = None,
    strategy: str = "grid",
    objective: str | Sequence[str] = "accuracy",
    budget: Mapping[str, float] | None = None,
    recipe: str | Path | Mapping[str, Any] | Recipe = "quick",
    overrides: Mapping[str, Any] | None = None,
    max_trials: int | None = None,
    prune: bool = False,
    out: str | Path | None = None,
    seed: int = 0,
    image_size: int | tuple[int, int] | None = None,
    validation: float = 0.1,
    limit: int | None = None,
    data_dir: str | Path | None = None,
    workers: int = 1,
    imports: Sequence[str | Path] = (),
    resume: bool = False,
    overwrite: bool = False,
    verbose: bool = True,
) -> Search:
    """Train candidates on data, within a budget, and find the best by their validation accuracy.

    Each trial is a run of kattn.train in a folder of its own. A search that was stopped (Ctrl-C, kill -9) goes on with
    the same call and resume=True: trials that are over are not trained again, and the unfinished one goes on. The same
    call with the same seed finds the same best, unless it measures latency; with several workers this holds for "grid"
    and "random" without pruning.

    On several machines, start the same call on each, with `out` where all see it and these variables of KerasTuner set:
    KERASTUNER_TUNER_ID (chief, worker1, ...), KERASTUNER_ORACLE_IP and KERASTUNER_ORACLE_PORT. Anyone who reaches the
    port can answer: private networks only.

    Args:
        model: A name of the zoo.
        data: See kattn.data.load, also for image_size, validation, limit and data_dir. Several workers need a name or a
            path.
        space: {name: list of choices, or {"low": , "high": , "log": bool}}: options of the model's builder
            ("reduction", "stages", "position", "widths"), "mechanism" and "backbone", which replace the parts of the
            model's name, and "recipe.<field>". None: {"reduction": [2, 4, 8, 16]}. A choice for an option that a
            model does not have is ignored, and such a model is not tried twice.
        strategy: "grid" (everything), "random", "bayesian" or "hyperband" (many for a few epochs, the best for all of
            the recipe's).
        objective: "accuracy", or a list of it and costs (parameters, macs, int8_bytes, latency_ms): the score is then
            accuracy x (cost / reference)^-0.07 for each of them, and the Pareto front is marked.
        budget: {cost: most allowed}. A network over it is not trained and is no trial. int8_bytes is the size of the
            int8 TFLite file, latency_ms the median time of that file on this machine, with one thread.
        recipe, overrides: As for kattn.train.
        max_trials: Most trials. None: 10 for "random" and "bayesian", else until the strategy ends.
        prune: End trials whose validation accuracy is below the median of the others' at the same epoch.
        out: The search's folder; None is runs/tune-<model>-<data>-<seed>.
        seed: Of the search, and of every trial.
        workers: Processes that train at the same time, on this machine.
        imports: Python files that workers run first, such as one that registers attention of yours.
        resume: Go on with the same search in `out`, or start it where there is none.
        overwrite: Start anew in a folder that holds a search.
        verbose: Print the trials, the networks over budget, and the table.

    Returns: The Search.
    Raises: ValueError for arguments that do not fit together, before anything is written; SearchError for a folder that
        holds another search, a budget that no candidate is within, and a trial that failed.
    """
    chosen = load_recipe(recipe, overrides)
    choices = Space(model, DEFAULT_SPACE if space is None else space, chosen).choices
    objectives = [objective] if isinstance(objective, str) else list(objective)
    budget = dict(budget or {})
    _check(strategy, objectives, budget, prune, seed, max_trials, choices)
    spec = str(data) if isinstance(data, (str, Path)) else None
    _check_workers(workers, spec)
    reading: dict[str, Any] = {"image_size": image_size, "validation": validation, "limit": limit, "data_dir": data_dir}
    dataset = load(data, **reading)
    if not len(dataset.validation):
        raise ValueError(f"A search needs validation images to choose by. Received: validation={validation}")
    settings = Settings(
        model=model,
        data=spec,
        space=choices,
        strategy=strategy,
        objective=objectives,
        budget=budget,
        recipe=chosen.as_dict(),
        max_trials=max_trials,
        prune=prune,
        seed=seed,
        image_size=list(image_size) if isinstance(image_size, tuple) else image_size,
        validation=validation,
        limit=limit,
        data_dir=None if data_dir is None else str(data_dir),
        fingerprint=dataset.describe()["fingerprint"],
        version=__version__,
        imports=[os.path.abspath(file) for file in imports],
    )
    path = out or Path("runs") / f"tune-{model}-{Path(spec or 'arrays').name}-{seed}"
    plan = Plan(settings, data, dataset, path, verbose)
    if is_worker():  # of a chief on another machine, which looks after the folder
        wait_for_chief(plan)
        _search(plan)
        wait_for_results(plan)
        plan.prepare()
        return collect(plan, write=False)
    with held_folder(plan, resume=resume, overwrite=overwrite):
        plan.prepare()
        _announce(plan, workers)
        _search(plan, workers)
        found = collect(plan)
    plan.say(str(found))
    return found


def take_part(settings: Settings, folder: Path) -> None:
    """A chief's or a worker's part of a search that another process of this machine started."""
    dataset = load(settings.data, **settings.loading())
    plan = Plan(settings, settings.data, dataset, folder, verbose=True)
    if is_chief():
        plan.prepare()
    _search(plan)


def _search(plan: Plan, workers: int = 1) -> None:
    """Hand out trials and train them until the strategy ends."""
    from kattn.tuning.oracles import ORACLES  # these modules import KerasTuner and Keras
    from kattn.tuning.trials import search
    from kattn.tuning.workers import run_workers

    oracle = ORACLES[plan.settings.strategy](plan)
    if workers > 1:
        run_workers(plan, workers)
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="keras_tuner")  # it uses what Python and NumPy have renamed
        warnings.filterwarnings("ignore", module="sklearn")  # a Gaussian process of three points converges badly
        search(plan, oracle)


def _announce(plan: Plan, workers: int) -> None:
    settings = plan.settings
    names = ", ".join(plan.space.choices)
    processes = f", {workers} workers" if workers > 1 else ""
    count = f"{len(plan.grid)} candidates" if plan.grid else f"{settings.strategy} search"
    plan.say(f"{settings.model} on {plan.dataset.name}: {count} over {names}{processes}, in {plan.path}")


def _check(
    strategy: str,
    objectives: Sequence[str],
    budget: Mapping[str, float],
    prune: bool,
    seed: int,
    max_trials: int | None,
    choices: Mapping[str, Any],
) -> None:
    _known("strategy", [strategy], STRATEGIES)
    _known("objective", objectives, ("accuracy", *COSTS))
    _known("budget", list(budget), COSTS)
    if "accuracy" not in objectives or len(set(objectives)) < len(objectives):
        raise ValueError(f"objective is accuracy, alone or with costs, each once. Received: {list(objectives)}")
    for name, most in budget.items():
        if isinstance(most, bool) or not isinstance(most, (int, float)) or not most > 0:
            raise ValueError(f"The budget of {name} is a number above 0. Received: {most!r}")
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ValueError(f"seed is a whole number from 0. Received: seed={seed!r}")
    if max_trials is not None and (not isinstance(max_trials, int) or max_trials < 1):
        raise ValueError(f"max_trials is a whole number of at least 1, or None. Received: max_trials={max_trials!r}")
    if strategy == "hyperband" and prune:
        raise ValueError("hyperband ends bad trials by itself; leave prune out.")
    if strategy == "hyperband" and "recipe.epochs" in choices:
        raise ValueError("hyperband decides the epochs; leave recipe.epochs out of the space.")


def _known(what: str, names: Sequence[Any], valid: Sequence[str]) -> None:
    for name in names:
        if name not in valid:
            raise unknown(what, name, valid)


def _check_workers(workers: int, spec: str | None) -> None:
    if not isinstance(workers, int) or workers < 1:
        raise ValueError(f"workers is a whole number of at least 1. Received: workers={workers!r}")
    if workers > 1 and spec is None:
        raise ValueError("Several workers read the data themselves: data must be a name or a path.")
    if workers > 1 and (is_chief() or is_worker()):
        raise ValueError("KERASTUNER_ORACLE_IP makes this process a chief or a worker itself; leave workers out.")
