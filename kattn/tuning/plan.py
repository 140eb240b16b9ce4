"""One search: its settings as search.json holds them, and what all its processes work with."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kattn.data.dataset import Dataset
from kattn.runs.folder import RunFolder
from kattn.training.recipes import Recipe, load_recipe
from kattn.tuning.costs import Costs
from kattn.tuning.space import Candidate, SearchError, Space, written

SETTINGS = "search.json"
HARMLESS = ("data_dir", "version")  # may differ when a search is resumed


@dataclass(frozen=True)
class Settings:
    """What makes a search: equal settings give an equal search. See kattn.tune for each.

    Attributes:
        data: Name or path; None for arrays.
        fingerprint: Of the images, by split.
        version: Of kattn, when the search was begun.
    """

    model: str
    data: str | None
    space: dict[str, Any]
    strategy: str
    objective: list[str]
    budget: dict[str, float]
    recipe: dict[str, Any]
    max_trials: int | None
    prune: bool
    seed: int
    image_size: int | list[int] | None
    validation: float
    limit: int | None
    data_dir: str | None
    fingerprint: dict[str, str]
    version: str

    def as_dict(self) -> dict[str, Any]:
        """Every field."""
        return dataclasses.asdict(self)

    def differences(self, before: Mapping[str, Any]) -> list[str]:
        """What is not as it was in another search's settings, in words."""
        now = self.as_dict()
        names = [name for name in {**before, **now} if name not in HARMLESS]
        return [
            f"{name} was {before.get(name)!r}, is {now.get(name)!r}"
            for name in names
            if before.get(name) != now.get(name)
        ]

    def loading(self) -> dict[str, Any]:
        """The arguments of kattn.data.load and kattn.train that say how the data are read."""
        size = tuple(self.image_size) if isinstance(self.image_size, list) else self.image_size
        return {"image_size": size, "validation": self.validation, "limit": self.limit, "data_dir": self.data_dir}


class Plan:
    """A search as its processes see it.

    Args:
        settings: What makes it.
        data: As given to kattn.tune.
        dataset: The same, loaded.
        folder: Where everything goes.
        verbose: Whether lines are printed.
    """

    def __init__(self, settings: Settings, data: Any, dataset: Dataset, folder: RunFolder, verbose: bool) -> None:
        self.settings = settings
        self.data = data
        self.dataset = dataset
        self.folder = folder
        self.verbose = verbose
        self.recipe: Recipe = load_recipe(settings.recipe)
        self.space = Space(settings.model, settings.space, self.recipe)
        self.costs = Costs(folder, dataset, settings.budget, settings.objective, writes=not is_worker())
        self.grid: list[dict[str, Any]] = []
        self.told: set[str] = set()

    @property
    def trials(self) -> Path:
        """The folder of the trials."""
        return self.folder.path / "trials"

    def prepare(self) -> None:
        """Cost what can be costed before the first trial: for a grid all of it.

        Raises: SearchError where no candidate is within the budget; ValueError for one that cannot be built.
        """
        products = self.space.product()
        if self.settings.strategy == "grid":
            unique = {self.space.candidate(values).key: values for values in reversed(list(products))}
            self.grid = [values for values in reversed(unique.values()) if self.fits(values)]
            if not self.grid:
                raise self.nothing_fits()
        if self.costs.weighed:
            self.costs.refer_to(self.space.candidate(next(self.space.product())))

    def fits(self, values: Mapping[str, Any]) -> bool:
        """Whether a candidate is within the budget; says so where it is not, once."""
        candidate = self.space.candidate(values)
        costs = self.costs.of(candidate)
        over = self.costs.over(costs)
        if over and candidate.network not in self.told:
            self.told.add(candidate.network)
            budget = ", ".join(f"{name} {costs[name]:,.6g} > {self.settings.budget[name]:,.6g}" for name in over)
            chosen = [f"{key}={written(value)}" for key, value in self.costs.known[candidate.network]["values"].items()]
            self.say(f"left out, over budget: {' '.join(chosen) or candidate.model} ({budget})")
        return not over

    def nothing_fits(self) -> SearchError:
        """The error of a budget that no candidate is within."""
        entries = self.costs.rejected()
        smallest = {
            name: min((e["costs"][name] for e in entries if name in e["costs"]), default=None)
            for name in self.settings.budget
        }
        found = ", ".join(f"{name} {cost:,.6g}" for name, cost in smallest.items() if cost is not None)
        asked = ", ".join(f"{name} {most:,.6g}" for name, most in self.settings.budget.items())
        return SearchError(
            f"None of the {len(entries)} networks looked at is within the budget ({asked}). Smallest found: {found}. "
            "Raise the budget, or widen the space."
        )

    def recipe_of(self, candidate: Candidate, epochs: int | None) -> Recipe:
        """How a candidate is trained; `epochs` where the strategy decides them."""
        overrides = candidate.overrides | ({} if epochs is None else {"epochs": epochs})
        return load_recipe(self.settings.recipe, overrides)

    def say(self, line: str) -> None:
        """Print a line, where lines are wanted."""
        if self.verbose:
            print(line, flush=True)


def read_settings(file: Path) -> dict[str, Any]:
    """What a search.json holds.

    Raises: SearchError for a damaged one.
    """
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SearchError(f"{file} is damaged ({error}). overwrite=True starts anew.") from error


def is_worker() -> bool:
    """Whether this process was started as a worker of a chief, by KerasTuner's environment variables."""
    return "KERASTUNER_ORACLE_IP" in os.environ and not is_chief()


def is_chief() -> bool:
    """Whether this process was started as the chief of workers."""
    return "KERASTUNER_ORACLE_IP" in os.environ and "chief" in os.environ.get("KERASTUNER_TUNER_ID", "")
