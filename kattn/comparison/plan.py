"""A comparison as each of its processes sees it: its runs, and which of them are over."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kattn.comparison.entries import Entry
from kattn.comparison.errors import ComparisonError
from kattn.comparison.settings import Settings
from kattn.reading import Unreadable, read_json

RUNS, LOGS = "runs", "logs"
OUTCOME = "outcome.json"  # written last of a run: its presence says that the run is over
FINISHED, DIVERGED, FAILED = "finished", "diverged", "failed"


@dataclass(frozen=True)
class Job:
    """One run: a model and a seed."""

    entry: Entry
    seed: int

    @property
    def name(self) -> str:
        """The name of the run's folder."""
        return f"{self.entry.slug}-{self.seed}"

    def __str__(self) -> str:
        return f"{self.entry.label}, seed {self.seed}"


@dataclass(frozen=True)
class Plan:
    """A comparison.

    Attributes:
        settings: What is compared.
        path: The comparison's folder.
        data: As given to kattn.compare.
        given: Functional models by label, where they are in memory.
        verbose: Whether lines are printed.
    """

    settings: Settings
    path: Path
    data: Any
    given: dict[str, Any] = field(default_factory=dict)
    verbose: bool = True

    @classmethod
    def read(cls, folder: Path) -> Plan:
        """The comparison that another process has begun in a folder."""
        settings = Settings.read(folder)
        return cls(settings, folder, settings.data)

    @property
    def entries(self) -> list[Entry]:
        """The models."""
        return [Entry(**each) for each in self.settings.models]

    @property
    def jobs(self) -> list[Job]:
        """All runs: the first seed of every model, then the next, so that early tables compare."""
        return [Job(entry, seed) for seed in self.settings.seeds for entry in self.entries]

    def folder(self, job: Job) -> Path:
        """A run's folder."""
        return self.path / RUNS / job.name

    def claim(self, job: Job) -> Path:
        """The lock of the process that does a run and what comes after it."""
        return self.path / RUNS / f".{job.name}.lock"

    def outcome(self, job: Job) -> dict[str, Any] | None:
        """What came of a run: status, epochs, why, artefacts; None while it is not over.

        Raises: ComparisonError for a damaged file.
        """
        file = self.folder(job) / OUTCOME
        try:
            found = read_json(file)
        except FileNotFoundError:
            return None
        except (OSError, Unreadable) as error:
            raise ComparisonError(f"{file} cannot be read: {error}. Remove it: the run is looked at anew.") from error
        if found.get("status") not in (FINISHED, DIVERGED, FAILED) or not isinstance(found.get("artefacts"), dict):
            raise ComparisonError(f"{file} is damaged. Remove it: the run is looked at anew.")
        return found

    def over(self, job: Job) -> bool:
        """Whether nothing is left to do for a run."""
        found = self.outcome(job)
        if found is None or found["status"] != FINISHED:
            return found is not None
        return all(each in found["artefacts"] for each in self.settings.export)

    def say(self, line: str) -> None:
        """Print a line, if the comparison is verbose."""
        if self.verbose:
            print(line, flush=True)
