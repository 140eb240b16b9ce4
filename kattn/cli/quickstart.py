"""What `kattn quickstart` does: from real images to files for a phone and a server, each proven equal to the model."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kattn.cli.quickstart_picture import figure_of
from kattn.data.dataset import Dataset
from kattn.data.loading import load
from kattn.evaluation.evaluation import evaluate
from kattn.explain.drawing.pictures import save_figure
from kattn.export.benchmark import bench
from kattn.export.formats import FORMATS
from kattn.files import write_csv, write_json, write_text
from kattn.graph.outputs import main_output
from kattn.locking import locked_folder
from kattn.runs.folder import RunFolder
from kattn.training.run import train

CALIBRATION_IMAGES = 256
LOCK = ".quickstart.lock"
LEFT_OUT = ("int16",)  # TensorFlow Lite's older quantiser: it has no division, which AFI and GC need


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        format: Format and precision.
        file: Name in the run's folder.
        bytes: Size.
        accuracy: Top-1 on the test images, run in the artefact's own runtime.
        max_abs_diff: Largest difference of a probability from the Keras model's, on the test images.
        latency_ms: Median of one image, one thread; None for what was not timed.
    """

    format: str
    file: str
    bytes: int
    accuracy: float
    max_abs_diff: float
    latency_ms: float | None


def run(
    model: str = "afi_resnet20",
    out: str | Path = "runs/quickstart",
    seed: int = 0,
    epochs: int | None = None,
) -> list[Row]:
    """Train on the embedded handwritten digits, export every format, evaluate each file, print and write the table.

    Args:
        model: A CIFAR-style model of the zoo.
        out: Folder of the run. A stopped run there goes on; a finished one is replaced.
        seed: Of the training.
        epochs: Instead of the recipe's.

    Returns: The table's rows, the Keras model's first.
    Raises: InUse where another quickstart writes to the folder; what training and exporting raise.
    """
    folder = RunFolder(out)
    with locked_folder(folder.path, LOCK):  # the training's own lock ends with it, and the files come after it
        return _run(model, folder, seed, epochs)


def _run(model: str, folder: RunFolder, seed: int, epochs: int | None) -> list[Row]:
    started = time.perf_counter()
    stopped = folder.started and not folder.finished
    print(f"1/3  training {model} on scikit-learn's handwritten digits", flush=True)
    trained = train(
        model,
        data="digits",
        recipe="quick",
        out=folder.path,
        seed=seed,
        overrides={"epochs": epochs} if epochs else {},
        resume=stopped,
        overwrite=not stopped,
    )
    data = load("digits")
    print("\n2/3  exporting, and checking each file against the model", flush=True)
    images = data.test.images[:].astype("float32")
    probabilities = _predictions(trained.model, images)
    rows = _exported(trained, data, probabilities)
    print("\n3/3  drawing", flush=True)
    path = trained.path
    save_figure(figure_of(trained, data.test, probabilities.argmax(axis=1)), path / "quickstart.png")
    table = as_table(rows)
    write_text(path / "quickstart.md", table + "\n")
    write_csv(path / "quickstart.csv", [asdict(row) for row in rows])
    write_json(path / "quickstart.json", [asdict(row) for row in rows])
    print(f"\n{table}\n")
    print(f"{len(images)} held-out images; one image, one thread; {time.perf_counter() - started:.0f} s in all")
    print(f"table, picture, files and their certificates: {path}")
    print(f"next: kattn train cbam_resnet20 --data cifar10    kattn export {path} --to onnx    kattn list")
    return rows


def _exported(trained: Any, data: Dataset, probabilities: np.ndarray) -> list[Row]:
    """The Keras model's row, and one for every format and precision, each measured on its written file."""
    folder = trained.path
    images = data.test.images[:].astype("float32")
    calibration = data.train.images[:CALIBRATION_IMAGES].astype("float32")
    keras_file = folder / "model.keras"
    rows = [Row("Keras", keras_file.name, keras_file.stat().st_size, trained.evaluation.accuracy, 0.0, None)]
    jobs = [(row, precision) for row in FORMATS.values() for precision in row.precisions if row.exporter_path]
    for row, precision in jobs:
        if precision in LEFT_OUT:
            continue
        file = folder / row.file_name("model", precision)
        compared = {"images": images} if "images" in row.options else {}
        report = row.export(trained.model, file, precision=precision, calibration=calibration, **compared)
        outputs = row.open(file)(images)
        difference = float(np.abs(outputs["predictions"] - probabilities).max())
        accuracy = evaluate(file, data="digits").accuracy  # type: ignore[union-attr]
        latency = next(iter(bench(file, threads=1))).p50_ms
        title = f"{row.title} {precision}" if len(row.precisions) > 1 else row.title
        rows.append(Row(title, file.name, report.bytes, accuracy, difference, latency))
        print(f"     {title:<15}accuracy {accuracy:.2%}, largest difference {difference:.1e}", flush=True)
    return rows


def _predictions(network: Any, images: np.ndarray) -> np.ndarray:
    outputs, main = network.predict(images, verbose=0), main_output(network)
    return np.asarray(outputs if main is None else outputs[main])


def as_table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table, aligned for the terminal."""
    cells = [["format", "bytes", "accuracy", "largest difference", "latency"]]
    for row in rows:
        latency = "" if row.latency_ms is None else f"{row.latency_ms:.2f} ms"
        cells.append([row.format, f"{row.bytes:,}", f"{row.accuracy:.2%}", f"{row.max_abs_diff:.1e}", latency])
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]

    def line(values: Sequence[str]) -> str:
        first, *rest = (
            value.ljust(width) if i == 0 else value.rjust(width)
            for i, (value, width) in enumerate(zip(values, widths, strict=True))
        )
        return "| " + " | ".join([first, *rest]) + " |"

    rule = "|" + "|".join("-" * (width + 1) + ("-" if i == 0 else ":") for i, width in enumerate(widths)) + "|"
    return "\n".join([line(cells[0]), rule, *map(line, cells[1:])])
