"""The folder of a comparison: which process may write there, and which files are the comparison's."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kattn.comparison.entries import MODELS
from kattn.comparison.errors import ComparisonError
from kattn.comparison.plan import FAILED, LOGS, OUTCOME, RUNS, Plan
from kattn.comparison.results import NAME
from kattn.comparison.results import RUNS as RUNS_TABLE
from kattn.comparison.settings import FILE, Settings
from kattn.comparison.times import TIMES
from kattn.files import make_folder, reason, remove_unfinished, write_json, writing
from kattn.locking import InUse, locked_folder
from kattn.runs.folder import CONFIG, without_optimizer

SEARCH = "search.json"  # of kattn.tune
WRITTEN = (FILE, RUNS_TABLE, TIMES, *(f"{NAME}.{ending}" for ending in ("csv", "json", "md", "png", "html")))


@contextlib.contextmanager
def held_folder(plan: Plan, given: Mapping[str, Any], *, resume: bool, overwrite: bool) -> Iterator[None]:
    """The comparison's folder with its settings and functional models, locked against other calls in the block.

    Raises: ComparisonError for a folder that another process uses, that holds something else, or that cannot be
        written.
    """
    path = plan.path
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked_folder(path))
        except InUse as problem:
            raise ComparisonError(str(problem)) from None
        except OSError as error:
            raise ComparisonError(f"The comparison's folder {path} cannot be written: {reason(error)}.") from error
        there = (path / FILE).is_file()
        if others := [name for name in (CONFIG, SEARCH) if (path / name).is_file()]:
            raise ComparisonError(f"{path} is no comparison's folder, but holds {', '.join(others)}. Choose another.")
        if overwrite:
            _clear(path)
        elif there and not resume:
            raise ComparisonError(f"{path} holds a comparison. resume=True goes on with it, overwrite=True anew.")
        elif there:
            plan.settings.check_same(Settings.read(path), path)
        elif others := [name for name in (*WRITTEN, RUNS) if (path / name).exists()]:
            raise ComparisonError(
                f"{path} is no comparison's folder, but holds {', '.join(others)}. Choose another folder."
            )
        remove_unfinished(path, WRITTEN)
        _store(plan, given)
        write_json(path / FILE, plan.settings.as_dict())
        for job in plan.jobs:  # what failed is tried again
            outcome = plan.outcome(job)
            if outcome is not None and outcome["status"] == FAILED:
                (plan.folder(job) / OUTCOME).unlink()
        yield


def _store(plan: Plan, given: Mapping[str, Any]) -> None:
    for entry in plan.entries:
        if entry.digest and not (file := plan.path / entry.model).is_file():
            make_folder(file.parent)
            with writing(file) as temporary:
                without_optimizer(given[entry.label]).save(temporary)


def _clear(path: Path) -> None:
    """Remove the comparison's files; of a link the link."""
    for found in (path / name for name in (*WRITTEN, RUNS, MODELS, LOGS)):
        if found.is_dir() and not found.is_symlink():
            shutil.rmtree(found, ignore_errors=True)
        else:
            found.unlink(missing_ok=True)
