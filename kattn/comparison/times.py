"""How long an image takes: measured once all runs are over, and kept apart from what repeats to the byte."""

from __future__ import annotations

from pathlib import Path

from kattn.comparison.plan import FINISHED, Plan
from kattn.export.benchmark import bench
from kattn.export.errors import ExportError, ExportInputError
from kattn.files import write_csv
from kattn.reading import Unreadable, read_rows
from kattn.runs.folder import FINISHED as MODEL

TIMES = "times.csv"
KERAS = "keras"
CALLS, WARMUP = 40, 5


def time_images(plan: Plan) -> dict[str, dict[str, float]]:
    """The median time of one image of every model and exported file, all measured in turns, in milliseconds.

    Measured once: a later call with the same models and files reads times.csv.

    Returns: By model, then "keras" or "format:precision".
    """
    files = _files(plan)
    known = _known(plan.path / TIMES)
    if {model: set(times) for model, times in known.items()} == {model: set(each) for model, each in files.items()}:
        return known
    paths = [path for each in files.values() for path in each.values()]
    try:
        rows = {row.path: row.p50_ms for row in bench(*paths, calls=CALLS, warmup=WARMUP)} if paths else {}
    except (ExportInputError, ExportError) as problem:
        plan.say(f"not timed: {problem}")
        return {}
    found = {model: {name: rows[str(path)] for name, path in each.items()} for model, each in files.items()}
    table = [{"model": model, "file": name, "ms": ms} for model, each in found.items() for name, ms in each.items()]
    write_csv(plan.path / TIMES, table, ("model", "file", "ms"))
    return found


def _files(plan: Plan) -> dict[str, dict[str, Path]]:
    """The files of each model's first finished seed."""
    found: dict[str, dict[str, Path]] = {}
    for job in plan.jobs:
        outcome, folder = plan.outcome(job), plan.folder(job)
        if outcome is None or outcome["status"] != FINISHED or job.entry.label in found:
            continue
        made = {each: record["file"] for each, record in outcome["artefacts"].items() if "file" in record}
        wanted = {each: made[each] for each in plan.settings.export if each in made}
        found[job.entry.label] = {name: folder / file for name, file in {KERAS: MODEL, **wanted}.items()}
    return found


def _known(file: Path) -> dict[str, dict[str, float]]:
    """What times.csv says; nothing where it cannot be read."""
    try:
        found: dict[str, dict[str, float]] = {}
        for row in read_rows(file):
            found.setdefault(row["model"], {})[row["file"]] = float(row["ms"])
        return found
    except (OSError, Unreadable, KeyError, ValueError):
        return {}
