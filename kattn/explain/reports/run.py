"""One self-contained HTML page of a training run: curves, confusion, what it looks at, its gates, its exports."""

from __future__ import annotations

import base64
import dataclasses
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kattn.data.stored import StoredImages
from kattn.explain.class_maps.methods import CLASS_METHODS, maps_by
from kattn.explain.drawing import plots
from kattn.explain.drawing.pictures import save_figure
from kattn.explain.drawing.sheets import contact_sheet
from kattn.explain.reports.html import Section, page
from kattn.explain.statistics.faithfulness import Curves, deletion_insertion
from kattn.explain.statistics.gates import gate_statistics
from kattn.explain.statistics.selectivity import class_selectivity
from kattn.explain.statistics.stream import outputs_over, stream
from kattn.graph.calls import Graph

ATTENTION_COLUMNS = 3  # of a sheet; the last layers of the network
EXPORTS = ("format", "precision", "bytes", "max_abs_diff", "top1_agreement", "sha256")


@dataclass(frozen=True)
class _Run:
    """What a report is made from."""

    path: Path
    config: dict[str, Any]
    metrics: dict[str, Any]
    history: list[dict[str, float]]
    model: Any
    images: np.ndarray | StoredImages
    labels: np.ndarray
    class_names: tuple[str, ...]


def report(
    run: str | Path,
    out: str | Path | None = None,
    *,
    images: int = 8,
    statistics_images: int | None = 2000,
    data_dir: str | Path | None = None,
) -> Path:
    """Write the report of a finished run: one .html file that needs no network and runs no script.

    Args:
        run: The run's folder, as `kattn.train` leaves it.
        out: The file to write; None is report.html in the run's folder.
        images: How many test images the sheet shows, wrongly classified ones first, then one of each class.
        statistics_images: How many test images the statistics are taken over, at most; None for all.
        data_dir: Where TFDS keeps its data, if not where the run had it.

    Returns: The file's path.
    Raises: RunError for a folder that holds no finished run, DataError where its data cannot be read, ValueError for
        counts below 1.
    """
    if images < 1 or (statistics_images is not None and statistics_images < 1):
        raise ValueError(f"counts must be at least 1. Received: images={images}, statistics_images={statistics_images}")
    found = _load(Path(run).expanduser(), statistics_images, data_dir)
    sections = [
        _summary(found),
        _curves(found),
        _confusion(found),
        *_looks(found, images),
        *_gates(found),
        _selectivity(found),
        *_exports(found.path),
    ]
    path = Path(out).expanduser() if out is not None else found.path / "report.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page(f"{found.config['model']} on {found.config['data']['name']}", sections), encoding="utf-8")
    return path


def _load(path: Path, limit: int | None, data_dir: str | Path | None) -> _Run:
    from kattn.data.loading import load
    from kattn.runs.folder import RunError, RunFolder

    folder = RunFolder(path)
    if not folder.finished:
        raise RunError(f"{path} holds no finished run to report on. kattn train writes one.")
    config, model = folder.config(), folder.load_model()
    settings = dict(config["data"]["settings"])
    if data_dir is not None:
        settings["data_dir"] = data_dir
    if settings.get("image_size") is None:
        settings["image_size"] = tuple(config["data"]["image_shape"][:2])
    dataset = load(
        config["data"]["spec"], channels=model.inputs[0].shape[-1], splits=("test",), limit=limit, **settings
    )
    return _Run(
        path,
        config,
        folder.metrics(),
        folder.history(),
        model,
        dataset.test.images,
        dataset.test.labels,
        tuple(config["data"]["class_names"]),
    )


def _summary(run: _Run) -> Section:
    metrics = run.metrics
    counts = ", ".join(f"{count} {split}" for split, count in run.config["data"]["images"].items())
    facts = {
        "accuracy": f"{metrics['top1']:.2%} of {metrics['images']} test images",
        "loss": f"{metrics['loss']:.4f}",
        "calibration error": f"{metrics['calibration_error']:.4f}",
        "parameters": f"{run.model.count_params():,}",
        "recipe": f"{run.config['recipe']['name']}, {run.config['recipe']['epochs']} epochs, seed {run.config['seed']}",
        "options": ", ".join(f"{k}={v}" for k, v in run.config["options"].items()) or "none",
        "images": f"{counts}, of {'x'.join(map(str, run.config['data']['image_shape']))}",
    }
    return Section("Run", rows=[["", ""], *([key, value] for key, value in facts.items())])


def _curves(run: _Run) -> Section:
    return Section("Training", [(_svg(plots.history_figure(run.history)), "Loss and accuracy by epoch.")])


def _confusion(run: _Run) -> Section:
    names = list(run.metrics["per_class"])
    figure = plots.confusion_figure(run.metrics["confusion"], names)
    worst = sorted((v, k) for k, v in run.metrics["per_class"].items() if v is not None)[:10]
    rows = [["class", "accuracy"], *([name, f"{value:.2%}"] for value, name in worst)]
    return Section(
        "Confusion",
        [(_svg(figure), "Rows are classes, columns what their images were called.")],
        "The classes with the lowest accuracy:",
        rows,
    )


def _looks(run: _Run, count: int) -> list[Section]:
    graph = Graph(run.model)
    network = graph.model(graph.output)
    batches = stream((run.images, run.labels), network)
    scores = np.concatenate([answers for answers, _, _ in outputs_over(network, batches)])
    chosen = chosen_images(scores.argmax(axis=-1), run.labels, count)
    images, labels, answers = run.images[chosen].astype("float32"), run.labels[chosen], scores[chosen]
    predicted = answers.argmax(axis=-1)
    columns: dict[str, np.ndarray] = {}
    curves: dict[str, Curves] = {}
    for name in CLASS_METHODS:
        try:
            columns |= maps_by(name, run.model, images, classes=predicted)
        except ValueError:  # CAM asks for a network that ends in an average
            continue
        curves[name] = deletion_insertion(run.model, images, columns[name], classes=predicted)
    try:
        attention = maps_by("attention", run.model, images)
        columns |= dict(list(attention.items())[-ATTENTION_COLUMNS:])
    except ValueError:  # a network without attention over positions
        pass
    captions = [
        f"{run.class_names[a]} {scores[a]:.0%}" + ("" if a == b else f", is {run.class_names[b]}")
        for a, b, scores in zip(predicted, labels, answers, strict=True)
    ]
    sheet = contact_sheet(images, columns, captions=captions)
    rows = [
        ["method", "deletion area (low is good)", "insertion area (high is good)"],
        *([n, f"{c.deletion_area.mean():.4f}", f"{c.insertion_area.mean():.4f}"] for n, c in curves.items()),
    ]
    return [
        Section(
            "What it looks at",
            [(_png(sheet), "Test images, wrongly classified ones first; maps are of the predicted class.")],
        ),
        Section(
            "How faithful the maps are",
            [(_svg(plots.faithfulness_figure(curves)), f"Mean over these {len(images)} images.")],
            rows=rows,
        ),
    ]


def chosen_images(predicted: Any, labels: Any, count: int) -> list[int]:
    """Wrong ones first, at most half of them where there are right ones; then one a class, then the rest."""
    predicted, labels = np.asarray(predicted), np.asarray(labels)
    wrong = np.flatnonzero(predicted != labels).tolist()
    right = np.flatnonzero(predicted == labels)
    first = [int(right[labels[right] == k][0]) for k in np.unique(labels[right])]
    rest = [int(i) for i in right if int(i) not in set(first)]
    leading = wrong[: max(count // 2, count - len(right))]
    return [*leading, *first, *rest][:count]


def _gates(run: _Run) -> list[Section]:
    try:
        found = gate_statistics(run.model, (run.images, run.labels))
    except ValueError:  # a network without gates of channels
        return []
    figure = plots.gate_figure(dataclasses.replace(found, class_names=run.class_names))
    return [Section("Gates", [(_svg(figure), "Mean gate of each channel, by class.")])]


def _selectivity(run: _Run) -> Section:
    found = class_selectivity(run.model, (run.images, run.labels))
    figure = plots.selectivity_figure({run.config["model"]: found})
    rows = [["layer", "mean", "highest"]]
    rows += [[name, f"{index.mean():.3f}", f"{index.max():.3f}"] for name, index in found.items()]
    return Section(
        "Class selectivity",
        [(_svg(figure), "0 answers to all classes alike, 1 to a single one.")],
        rows=rows,
        folded=True,
    )


def _exports(folder: Path) -> list[Section]:
    """The certificates that lie in the run's folder."""
    rows: list[Sequence[str]] = []
    for file in sorted(folder.glob("*.json")):
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):  # somebody else's file
            continue
        if isinstance(content, dict) and set(EXPORTS) <= set(content):
            rows.append([file.stem, *(_cell(key, content[key]) for key in EXPORTS)])
    if not rows:
        return []
    return [Section("Export certificates", rows=[["file", *(name.replace("_", " ") for name in EXPORTS)], *rows])]


def _cell(key: str, value: Any) -> str:
    if value is None:
        return "not checked"
    forms = {"bytes": "{:,}", "max_abs_diff": "{:.1e}", "top1_agreement": "{:.2%}", "sha256": "{:.16}..."}
    return forms.get(key, "{}").format(value)


def _svg(figure: Any) -> str:
    return _embedded(figure, "svg", "image/svg+xml")


def _png(figure: Any) -> str:
    return _embedded(figure, "png", "image/png")


def _embedded(figure: Any, ending: str, kind: str) -> str:
    """A figure as a data URL: an image of its own, so that the ids of several SVGs cannot meet."""
    with tempfile.TemporaryDirectory() as folder:
        content = save_figure(figure, Path(folder) / f"figure.{ending}").read_bytes()
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
