"""One search: its settings, as in search.json, and what all its processes work with."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kattn.data.dataset import Dataset
from kattn.training.recipes import Recipe, load_recipe
from kattn.tuning.costs import Costs
from kattn.tuning.records import SearchError, read_record
from kattn.tuning.space import Candidate, Space, written

SETTINGS = "search.json"
STRATEGIES = ("grid", "random", "bayesian", "hyperband")
HARMLESS = ("data_dir", "version", "imports")  # may differ when a search is resumed


@dataclass(frozen=True)
class Settings:
    """The settings of a search, each as in kattn.tune: equal settings give an equal search.

    Attributes:
        data: Name or path; None for arrays.
        fingerprint: Of the images, by split.
        version: Of kattn, when the search was started.
        imports: Files that workers run first. Searches of before have none.
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
    imports: list[str] = dataclasses.field(default_factory=list)

    @classmethod
    def read(cls, file: Path) -> Settings:
        """The settings in a search.json. Raises: SearchError for a damaged file."""
        content = read_record(file)
        fields = {field.name for field in dataclasses.fields(cls)}
        if wrong := sorted(fields ^ {"imports", *content}):
            raise SearchError(f"{file} is damaged: {', '.join(wrong)} is missing or unknown.")
        return cls(**content)

    def as_dict(self) -> dict[str, Any]:
        """Every field."""
        return dataclasses.asdict(self)

    def differences(self, before: Mapping[str, Any]) -> list[str]:
        """The settings that differ from another search's, in words."""
        now = self.as_dict()
        if isinstance(recipe := before.get("recipe"), Mapping):
            before = {**before, "recipe": load_recipe(recipe).as_dict()}  # it may be older than some fields of recipes
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
    """A search as each of its processes sees it.

    Args:
        settings: Of the search.
        data: As given to kattn.tune.
        dataset: The same, loaded.
        path: The folder of the search.
        verbose: Whether lines are printed.
    """

    def __init__(self, settings: Settings, data: Any, dataset: Dataset, path: str | Path, verbose: bool) -> None:
        self.settings = settings
        self.data = data
        self.dataset = dataset
        self.path = Path(path).expanduser()
        self.verbose = verbose
        self.recipe: Recipe = load_recipe(settings.recipe)
        self.space = Space(settings.model, settings.space, self.recipe)
        self.costs = Costs(self.path, dataset, settings.budget, settings.objective, writes=not is_worker())
        self.grid: list[dict[str, Any]] = []
        self.reported: set[str] = set()  # networks over budget that were named

    @property
    def trials(self) -> Path:
        """The folder of the trials."""
        return self.path / "trials"

    def prepare(self) -> None:
        """Measure the costs that can be measured before the first trial: for a grid those of all candidates.

        Raises: SearchError where no candidate is within the budget; ValueError for one that cannot be built.
        """
        if self.settings.strategy == "grid":
            products = list(self.space.product())
            unique = {self.space.candidate(values).key: values for values in reversed(products)}
            self.grid = [values for values in reversed(unique.values()) if self.fits(values)]
            if not self.grid:
                raise self.nothing_fits()
        if self.costs.weighed:
            self.costs.refer_to(self.space.candidate(next(self.space.product())))

    def fits(self, values: Mapping[str, Any]) -> bool:
        """Whether a candidate is within the budget. A network over it is reported once."""
        candidate = self.space.candidate(values)
        costs = self.costs.of(candidate)
        over = self.costs.over(costs)
        if over and candidate.network not in self.reported:
            self.reported.add(candidate.network)
            budget = ", ".join(f"{name} {costs[name]:,.6g} > {self.settings.budget[name]:,.6g}" for name in over)
            chosen = [f"{key}={written(value)}" for key, value in self.costs.known[candidate.network]["values"].items()]
            self.say(f"left out, over budget: {' '.join(chosen) or candidate.model} ({budget})")
        return not over

    def nothing_fits(self) -> SearchError:
        """The error for a budget that no candidate is within."""
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
        """The recipe that trains a candidate; with `epochs` where the strategy decides them."""
        overrides = candidate.overrides | ({} if epochs is None else {"epochs": epochs})
        return load_recipe(self.settings.recipe, overrides)

    def say(self, line: str) -> None:
        """Print a line, if the search is verbose."""
        if self.verbose:
            print(line, flush=True)


def is_worker() -> bool:
    """Whether this process was started as a worker of a chief, by KerasTuner's environment variables."""
    return "KERASTUNER_ORACLE_IP" in os.environ and not is_chief()


def is_chief() -> bool:
    """Whether this process was started as the chief of workers."""
    return "KERASTUNER_ORACLE_IP" in os.environ and "chief" in os.environ.get("KERASTUNER_TUNER_ID", "")
