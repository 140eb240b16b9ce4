"""The results of a comparison, read from its runs: tables, a picture, a page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kattn.comparison.plan import FAILED, FINISHED, Plan
from kattn.comparison.repeating import command
from kattn.comparison.report import words
from kattn.comparison.report.page import html_page
from kattn.comparison.report.picture import draw
from kattn.comparison.report.rows import MEASURES, Measure, ModelRow, RunRow, measure_of, model_rows
from kattn.explain.drawing.pictures import encoded
from kattn.files import write_bytes, write_csv, write_json, write_text
from kattn.runs.folder import RunFolder

NAME = "comparison"
RUNS = "runs.csv"


@dataclass(frozen=True)
class Comparison:
    """A comparison, as far as its runs are over.

    Attributes:
        path: Its folder.
        measure: What models are compared by: `measure.title`, such as "accuracy".
        models: A row a model, the one that others are compared with first.
        runs: A row a run.
        sentences: What the numbers allow to say.
        confidence: Of the intervals.
        left: Number of runs that are not over.
        times: By artefact (model, then file) the median time of one image in milliseconds, measured on this machine
            with one thread; empty where nothing was timed.
    """

    path: Path
    measure: Measure
    models: list[ModelRow]
    runs: list[RunRow]
    sentences: list[str]
    confidence: float
    left: int
    times: dict[str, dict[str, float]]

    def cells(self) -> list[list[str]]:
        """The table as texts, its heading first."""
        shown, unit = self.measure.shown, self.measure.unit.strip()
        export = list(self.models[0].artefacts)
        title = f"{self.measure.title}{', ' + unit if unit else ''}"
        interval = f"{self.confidence:.0%} interval"
        head = ["model", "seeds", title, "sd", "difference", interval, "parameters", "MACs", *export]
        rows = [head]
        for row in self.models:
            seeds = f"{row.runs}" + (f", {row.diverged} diverged" if row.diverged else "")
            low, high = (self.measure.difference(one) for one in (row.difference_low, row.difference_high))
            files = [shown(row.artefacts[each]) for each in export]
            means = [shown(row.mean), shown(row.deviation), self.measure.difference(row.difference)]
            costs = [f"{row.parameters:,}", f"{row.macs:,}"]
            rows.append([row.model, seeds, *means, f"{low} to {high}" if low else "", *costs, *files])
        return rows

    def __str__(self) -> str:
        rows = self.cells()
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        table = [
            "  ".join(
                text.ljust(width) if i == 0 else text.rjust(width)
                for i, (text, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        ]
        return "\n".join([*table, "", *self.sentences])


def collect(plan: Plan) -> Comparison:
    """The results of the runs that are over."""
    settings = plan.settings
    found, metrics = [], []
    for job in plan.jobs:
        outcome = plan.outcome(job)
        metrics.append(RunFolder(plan.folder(job)).metrics() if outcome and outcome["status"] == FINISHED else None)
        found.append((job, outcome))
    measure = next((measure_of(each) for each in metrics if each), MEASURES[0])
    runs = [
        _run_row(job.entry.label, job.seed, outcome or {}, numbers or {}, measure, settings.export)
        for (job, outcome), numbers in zip(found, metrics, strict=True)
    ]
    labels = [entry.label for entry in plan.entries]
    runs.sort(key=lambda row: (labels.index(row.model), row.seed))
    models = model_rows(runs, settings.costs, labels, settings.export, settings.confidence)
    left = sum(row.status in ("", FAILED) for row in runs)
    said = words.sentences(models, measure, settings.confidence, settings.seeds, left)
    return Comparison(plan.path, measure, models, runs, said, settings.confidence, left, {})


def _run_row(
    label: str,
    seed: int,
    outcome: Mapping[str, Any],
    metrics: Mapping[str, Any],
    measure: Measure,
    export: Sequence[str],
) -> RunRow:
    files = outcome.get("artefacts", {})
    values = {each: files.get(each, {}).get("metrics", {}).get(measure.key) for each in export}
    refused = [f"{each}: {files[each]['error']}" for each in export if "error" in files.get(each, {})]
    return RunRow(
        model=label,
        seed=seed,
        status=outcome.get("status", ""),
        epochs=outcome.get("epochs", 0),
        value=metrics.get(measure.key),
        loss=metrics.get("loss"),
        calibration_error=metrics.get("calibration_error"),
        artefacts=values,
        why="; ".join([*([outcome["why"]] if outcome.get("why") else []), *refused]),
    )


def write(plan: Plan, found: Comparison) -> None:
    """Write tables, picture and page into the comparison's folder. The same runs give the same bytes."""
    write_csv(plan.path / RUNS, [row.flat(found.measure) for row in found.runs])
    write_csv(plan.path / f"{NAME}.csv", [row.flat() for row in found.models])
    content = {
        "measure": asdict(found.measure),
        "confidence": found.confidence,
        "models": [asdict(row) for row in found.models],
        "runs": [asdict(row) for row in found.runs],
        "sentences": found.sentences,
        "left": found.left,
        "command": command(plan.settings),
        "data": plan.settings.about,
        "recipe": {"name": plan.settings.recipe, **plan.settings.fields},
        "backend": plan.settings.backend,
        "versions": plan.settings.versions,
    }
    write_json(plan.path / f"{NAME}.json", json.loads(json.dumps(content)))
    picture = encoded(draw(found, plan.settings.about["name"]), "png")
    write_bytes(plan.path / f"{NAME}.png", picture)
    write_text(plan.path / f"{NAME}.md", markdown(plan, found))
    write_text(plan.path / f"{NAME}.html", html_page(plan, found, picture))


def markdown(plan: Plan, found: Comparison) -> str:
    """The table and the sentences as Markdown."""
    head, *rows = ([cell.replace("|", "\\|") for cell in row] for row in found.cells())
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * 2}{'---:|' * (len(head) - 2)}"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    said = [f"- {each}" for each in found.sentences]
    recipe = plan.settings.recipe or "own recipe"
    title = f"# {plan.settings.about['name']}, {recipe}, {plan.settings.fields['epochs']} epochs"
    return "\n".join(
        [title, "", *lines, "", *said, "", words.scope(len(plan.settings.seeds)), "", f"`{command(plan.settings)}`", ""]
    )
