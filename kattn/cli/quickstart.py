"""`kattn quickstart`: from real images to files for a phone and a server, each proven equal to the model."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

CALIBRATION_IMAGES = 256
PICTURE_IMAGES = 8


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
        out: Folder of the run; a run that is there is gone on with if it was stopped, and replaced if it is finished.
        seed: Of the training.
        epochs: Instead of the recipe's.

    Returns: The table's rows, the Keras model's first.
    """
    import kattn
    from kattn.data.loading import load
    from kattn.runs.folder import RunFolder

    started = time.perf_counter()
    folder = RunFolder(out)
    stopped = folder.started and not folder.finished
    overrides = {"epochs": epochs} if epochs else {}
    print(f"1/3  training {model} on scikit-learn's handwritten digits", flush=True)
    trained = kattn.train(
        model,
        data="digits",
        recipe="quick",
        out=out,
        seed=seed,
        overrides=overrides,
        resume=stopped,
        overwrite=not stopped,
    )
    data = load("digits")
    print("\n2/3  exporting, and checking each file against the model", flush=True)
    rows = _exported(trained, data)
    print("\n3/3  drawing", flush=True)
    draw(trained, data.test, trained.path / "quickstart.png")
    table = as_table(rows)
    (trained.path / "quickstart.md").write_text(table + "\n", encoding="utf-8")
    _write_csv(trained.path / "quickstart.csv", rows)
    print(f"\n{table}\n")
    print(
        f"{len(data.test.images)} held-out images; one image, one thread; {time.perf_counter() - started:.0f} s in all"
    )
    print(f"table, picture, files and their certificates: {trained.path}")
    print(f"next: kattn train cbam_resnet20 --data cifar10    kattn export {trained.path} --to onnx    kattn list")
    return rows


def _exported(trained: Any, data: Any) -> list[Row]:
    import kattn
    from kattn.export import bench, onnx, saved_model, tflite

    network, path = trained.model, trained.path
    calibration = data.train.images[:CALIBRATION_IMAGES].astype("float32")
    images = data.test.images.astype("float32")
    jobs = [
        ("SavedModel", lambda p: saved_model(network, p, images=images), "model_saved"),
        *(
            (
                f"TFLite {precision}",
                _tflite_job(tflite, network, precision, calibration, images),
                f"model_{precision}.tflite",
            )
            for precision in ("float32", "float16", "dynamic", "int8")
        ),
        ("ONNX", lambda p: onnx(network, p, images=images), "model.onnx"),
    ]
    reference = _predictions(network, images)
    keras_file = path / "model.keras"
    rows = [Row("Keras", keras_file.name, keras_file.stat().st_size, trained.evaluation.accuracy, 0.0, None)]
    for name, job, file in jobs:
        report = job(path / file)
        runner = kattn.export.load(path / file)
        difference = np.abs(runner(images)["predictions"] - reference).max()
        accuracy = kattn.evaluate(path / file, data="digits").accuracy
        latency = next(iter(bench(path / file, threads=1))).p50_ms
        rows.append(Row(name, file, report.bytes, accuracy, float(difference), latency))
        print(f"     {name:<15}accuracy {accuracy:.2%}, largest difference {difference:.1e}", flush=True)
    return rows


def _tflite_job(tflite: Any, network: Any, precision: str, calibration: np.ndarray, images: np.ndarray) -> Any:
    return lambda path: tflite(
        network, path, precision=precision, calibration=calibration if precision == "int8" else None, images=images
    )


def _predictions(network: Any, images: np.ndarray) -> np.ndarray:
    outputs = network.predict(images, verbose=0)
    return np.asarray(outputs["predictions"] if isinstance(outputs, dict) else outputs)


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


def _write_csv(path: Path, rows: Sequence[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(asdict(rows[0])), lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
    path.with_suffix(".json").write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", encoding="utf-8")


def draw(trained: Any, test: Any, path: Path) -> None:
    """Training curves, and images with what speaks for their class (Grad-CAM): one of each class, wrong ones first."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from kattn.explain import grad_cam, overlay

    predicted = _predictions(trained.model, test.images.astype("float32")).argmax(axis=1)
    chosen = sorted(range(len(test.labels)), key=lambda i: (predicted[i] == test.labels[i], i))
    chosen = _one_a_class(chosen, test.labels)[:PICTURE_IMAGES]
    images = test.images[chosen].astype("float32")
    maps = grad_cam(trained.model, images)
    figure = plt.figure(figsize=(12, 6.6), layout="constrained")
    grid = figure.add_gridspec(3, PICTURE_IMAGES, height_ratios=(1.7, 1, 1))
    epochs = [row["epoch"] for row in trained.history]
    for place, kind, title in ((slice(0, 4), "loss", "loss"), (slice(4, 8), "accuracy", "accuracy")):
        axes = figure.add_subplot(grid[0, place])
        for key in (k for k in trained.history[0] if k.endswith(kind) and "attention" not in k):
            axes.plot(epochs, [row[key] for row in trained.history], label="validation" if "val" in key else "training")
        axes.set(title=title, xlabel="epoch")
        axes.legend(frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
    for column, (index, image, heat) in enumerate(zip(chosen, images, maps, strict=True)):
        right = predicted[index] == test.labels[index]
        caption = f"{test.labels[index]}" if right else f"{test.labels[index]}, taken for {predicted[index]}"
        for line, content in ((1, image.astype("uint8")), (2, overlay(image, heat))):
            axes = figure.add_subplot(grid[line, column])
            axes.imshow(content)
            axes.set_axis_off()
            if line == 1:
                axes.set_title(caption, color="black" if right else "tab:red")
    figure.suptitle(f"{trained.model.name} on handwritten digits: held-out accuracy {trained.evaluation.accuracy:.2%}")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _one_a_class(order: Sequence[int], labels: np.ndarray) -> list[int]:
    """The first index of each class, in the given order; then the rest."""
    first = {int(labels[i]): i for i in reversed(order)}
    leading = [i for i in order if first[int(labels[i])] == i]
    return leading + [i for i in order if i not in set(leading)]
