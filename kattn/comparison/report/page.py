"""The page of a comparison: one HTML file with everything in it."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from kattn.comparison.plan import Plan
from kattn.comparison.repeating import command
from kattn.comparison.report import words
from kattn.explain.reports.html import Section, page

if TYPE_CHECKING:
    from kattn.comparison.results import Comparison

CAPTION = (
    "Left: every seed (dots), the mean and its interval. Middle: the differences to the first model, seed by seed, "
    "their mean and its interval; an interval across 0 shows no difference. Right: the mean against multiply-adds of "
    "one image; numbers are those of the left panel."
)


def html_page(plan: Plan, found: Comparison, picture: bytes) -> str:
    """The whole document. Times are not in it: they differ from call to call, and stand in times.csv."""
    settings = plan.settings
    url = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
    facts = [["", ""], *([name, text] for name, text in _facts(plan).items() if text)]
    head = list(found.runs[0].flat(found.measure))
    runs = [head, *([_text(value) for value in row.flat(found.measure).values()] for row in found.runs)]
    sections = [
        Section("What it says", rows=[[""], *([each] for each in found.sentences)], note=""),
        Section("Models", pictures=[(url, CAPTION)], rows=found.cells()),
        Section("What it is about", note=words.scope(len(settings.seeds)), rows=facts),
        Section("Runs", rows=runs, folded=len(runs) > 13),
    ]
    models = f"{len(found.models)} models" if len(found.models) > 1 else found.models[0].model
    return page(f"{models} on {settings.about['name']}", sections)


def _facts(plan: Plan) -> dict[str, str]:
    settings, about = plan.settings, plan.settings.about
    images = ", ".join(f"{count:,} {part}" for part, count in about["images"].items())
    recipe = settings.recipe or "own fields"
    given = any(each["digest"] for each in settings.models)
    steps = max(1, about["images"]["train"] // settings.fields["batch_size"]) * settings.fields["epochs"]
    return {
        "data": f"{about['name']}: {images}; {'x'.join(map(str, about['image_shape']))}, {about['classes']} classes",
        "recipe": f"{recipe}: {settings.fields['summary']}",
        "training": f"{settings.fields['epochs']} epochs, {steps:,} steps of {settings.fields['batch_size']} images",
        "seeds": ", ".join(map(str, settings.seeds)),
        "start": "functional models start from the weights that they were given, with every seed" if given else "",
        "precision": settings.precision,
        "backend": settings.backend,
        "versions": ", ".join(f"{name} {version}" for name, version in settings.versions.items()),
        "command": command(settings),
    }


def _text(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
