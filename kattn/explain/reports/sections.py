"""The sections of a run's report: curves, confusion, what it looks at, its gates, its exports."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kattn.data.stored import StoredImages
from kattn.explain.drawing import plots
from kattn.explain.drawing.pictures import encoded
from kattn.explain.drawing.sheets import contact_sheet
from kattn.explain.reports.html import Section
from kattn.explain.reports.methods import CLASS_METHODS, maps_by
from kattn.explain.statistics.faithfulness import Curves, deletion_insertion
from kattn.explain.statistics.gates import gate_statistics
from kattn.explain.statistics.selectivity import class_selectivity
from kattn.explain.statistics.stream import outputs_over, stream
from kattn.files import counted
from kattn.graph.inside import count_parameters
from kattn.graph.opened import Graph
from kattn.reading import Unreadable, read_json

ATTENTION_COLUMNS = 3  # of a sheet; the last layers of the network
KINDS = {"svg": "image/svg+xml", "png": "image/png"}
EXPORTS = {  # what a certificate must hold to be listed, and how it is written
    "format": "{}",
    "precision": "{}",
    "bytes": "{:,}",
    "max_abs_diff": "{:.1e}",
    "top1_agreement": "{:.2%}",
    "sha256": "{:.16}...",
}


@dataclass(frozen=True)
class FinishedRun:
    """What a report is made from: the files of a run's folder, and its test images."""

    path: Path
    config: dict[str, Any]
    metrics: dict[str, Any]
    history: list[dict[str, float]]
    model: Any
    images: np.ndarray | StoredImages
    labels: np.ndarray
    class_names: tuple[str, ...]


def sections_of(run: FinishedRun, images: int) -> list[Section]:
    """All sections of the report; `images` is how many test images are shown."""
    return [
        _summary(run),
        _curves(run),
        _confusion(run),
        *_maps(run, images),
        *_gates(run),
        _selectivity(run),
        *_exports(run.path),
    ]


def _summary(run: FinishedRun) -> Section:
    config, metrics = run.config, run.metrics
    counts = ", ".join(f"{count} {split}" for split, count in config["data"]["images"].items())
    facts = {
        "accuracy": f"{metrics['top1']:.2%} of {metrics['images']} test images",
        "loss": f"{metrics['loss']:.4f}",
        "calibration error": f"{metrics['calibration_error']:.4f}",
        "parameters": f"{count_parameters(run.model):,}",
        "recipe": f"{config['recipe']['name']}, {counted(config['recipe']['epochs'], 'epoch')}, seed {config['seed']}",
        "options": ", ".join(f"{k}={v}" for k, v in config["options"].items()) or "none",
        "images": f"{counts}, of {'x'.join(map(str, config['data']['image_shape']))}",
    }
    return Section("Run", rows=[["", ""], *facts.items()])


def _curves(run: FinishedRun) -> Section:
    return Section("Training", [_embedded(plots.history_figure(run.history), "Loss and accuracy by epoch.")])


def _confusion(run: FinishedRun) -> Section:
    accuracies = run.metrics["per_class"]
    if run.metrics["confusion"] is None:
        return Section(
            "Confusion", note=f"{len(accuracies)} classes are too many to draw; metrics.json has the numbers."
        )
    figure = plots.confusion_figure(run.metrics["confusion"], list(accuracies))
    worst = sorted((accuracy, name) for name, accuracy in accuracies.items() if accuracy is not None)[:10]
    return Section(
        "Confusion",
        [_embedded(figure, "Rows are classes, columns the classes predicted for their images.")],
        "The classes with the lowest accuracy:",
        [["class", "accuracy"], *([name, f"{accuracy:.2%}"] for accuracy, name in worst)],
    )


def _maps(run: FinishedRun, count: int) -> list[Section]:
    """What the network looks at in some test images, and how faithful these maps are."""
    graph = Graph(run.model)
    network = graph.model(graph.output)
    batches = stream((run.images, run.labels), run.model)
    scores = np.concatenate([answers for answers, _, _ in outputs_over(network, batches)])
    chosen = chosen_images(scores.argmax(axis=-1), run.labels, count)
    images, labels, scores = run.images[chosen], run.labels[chosen], scores[chosen]
    predicted = scores.argmax(axis=-1)
    columns: dict[str, np.ndarray] = {}
    curves: dict[str, Curves] = {}
    for name in CLASS_METHODS:
        try:
            columns |= maps_by(name, run.model, images, classes=predicted)
        except ValueError:  # CAM needs a network that ends in an average
            continue
        curves[name] = deletion_insertion(run.model, images, columns[name], classes=predicted)
    try:
        attention = maps_by("attention", run.model, images)
        columns |= dict(list(attention.items())[-ATTENTION_COLUMNS:])
    except ValueError:  # a network without attention over positions
        pass
    captions = [
        f"{run.class_names[answer]} {row[answer]:.0%}" + ("" if answer == true else f", is {run.class_names[true]}")
        for answer, true, row in zip(predicted, labels, scores, strict=True)
    ]
    sheet = contact_sheet(images, columns, captions=captions)
    areas = [[n, f"{c.deletion_area.mean():.4f}", f"{c.insertion_area.mean():.4f}"] for n, c in curves.items()]
    text = "Test images, wrongly classified ones first; maps are of the predicted class."
    mean = f"Mean over these {len(images)} images."
    return [
        Section("What it looks at", [_embedded(sheet, text, form="png")]),
        Section(
            "How faithful the maps are",
            [_embedded(plots.faithfulness_figure(curves), mean)],
            rows=[["method", "deletion area (low is good)", "insertion area (high is good)"], *areas],
        ),
    ]


def chosen_images(predicted: Any, labels: Any, count: int) -> list[int]:
    """Numbers of the images to show: wrong ones first, at most half of them where there are right ones; then one a
    class, then the rest."""
    predicted, labels = np.asarray(predicted), np.asarray(labels)
    wrong = np.flatnonzero(predicted != labels).tolist()
    right = np.flatnonzero(predicted == labels)
    first = [int(right[labels[right] == k][0]) for k in np.unique(labels[right])]
    rest = [int(i) for i in right if int(i) not in set(first)]
    leading = wrong[: max(count // 2, count - len(right))]
    return [*leading, *first, *rest][:count]


def _gates(run: FinishedRun) -> list[Section]:
    try:
        found = gate_statistics(run.model, (run.images, run.labels))
    except ValueError:  # a network without gates of channels
        return []
    figure = plots.gate_figure(dataclasses.replace(found, class_names=run.class_names))
    return [Section("Gates", [_embedded(figure, "Mean gate of each channel, by class.")])]


def _selectivity(run: FinishedRun) -> Section:
    found = class_selectivity(run.model, (run.images, run.labels))
    figure = plots.selectivity_figure({run.config["model"]: found})
    rows = [[name, f"{index.mean():.3f}", f"{index.max():.3f}"] for name, index in found.items()]
    return Section(
        "Class selectivity",
        [_embedded(figure, "0: the channel responds to all classes alike; 1: to a single one.")],
        rows=[["layer", "mean", "highest"], *rows],
        folded=True,
    )


def _exports(folder: Path) -> list[Section]:
    """The certificates in the run's folder."""
    rows: list[Sequence[str]] = []
    for file in sorted(folder.glob("*.json")):
        try:
            content = read_json(file)
        except (OSError, Unreadable):  # somebody else's file
            continue
        if set(EXPORTS) <= set(content):
            with contextlib.suppress(ValueError, TypeError):  # somebody else's too
                rows.append([file.stem, *_cells(content)])
    if not rows:
        return []
    return [Section("Export certificates", rows=[["file", *(name.replace("_", " ") for name in EXPORTS)], *rows])]


def _cells(certificate: Mapping[str, Any]) -> list[str]:
    found = {name: (form, certificate[name]) for name, form in EXPORTS.items()}
    return ["not checked" if value is None else form.format(value) for form, value in found.values()]


def _embedded(figure: Any, caption: str, form: str = "svg") -> tuple[str, str]:
    """A figure as a data URL with its caption: an image of its own, so that the ids of several SVGs cannot meet."""
    content = base64.b64encode(encoded(figure, form)).decode("ascii")
    return f"data:{KINDS[form]};base64,{content}", caption
