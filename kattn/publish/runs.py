"""Finished runs into the table of results: evaluated as they are and as exported files."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kattn.data.loading import load
from kattn.evaluation.evaluation import evaluate
from kattn.export.formats import FORMATS
from kattn.graph.outputs import main_output
from kattn.profiling import profile
from kattn.publish import results, trained_weights
from kattn.publish.repeating import command, percent, versions_of
from kattn.publish.results import Epoch, Result
from kattn.training.run import open_run

CALIBRATION_IMAGES = 500


def publish(runs: Sequence[str | Path], *, weights: bool = False, machine: str, note: str = "") -> None:
    """Add runs to the table, and their weights to the package where `weights`.

    Raises: RunError for a folder without a finished run; ValueError for a run that no command repeats.
    """
    opened = [open_run(run) for run in runs]
    for run in opened:
        command(run.config)  # all of them are checked before the first is worked on
    for run in opened:
        row = result_of(run, machine, note)
        results.add(row, history_of(run))
        print(f"{row.command}: {row.top1:.2f} %, TFLite int8 {row.tflite_int8:.2f}, ONNX {row.onnx:.2f}", flush=True)
        if weights:
            stored = trained_weights.store(run, note)
            print(f"    {stored['file']}: {stored['metric']}", flush=True)


def result_of(run: Any, machine: str, note: str) -> Result:
    """The row of a run: its exports are made and evaluated here."""
    config = run.config
    data = config["data"]["spec"]
    line = command(config)
    train = load(data, splits=("train",)).train.images[:CALIBRATION_IMAGES].astype("float32")
    accuracy = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, precision in (("tflite", "int8"), ("onnx", "float32")):
            file = Path(folder) / FORMATS[name].file_name("model", precision)
            FORMATS[name].export(run.model, file, precision=precision, calibration=train)
            accuracy[name] = evaluate(file, data).accuracy  # type: ignore[union-attr]
    cost = profile(run.model)
    images = config["data"]["images"]["train"]
    return Result(
        **_identity(config),
        images=images,
        steps=len(run.history) * max(1, images // config["recipe"]["batch_size"]),
        top1=percent(run.evaluation.accuracy),
        tflite_int8=percent(accuracy["tflite"]),
        onnx=percent(accuracy["onnx"]),
        loss=round(run.evaluation.loss, 4),
        calibration_error=round(run.evaluation.calibration_error, 4),
        parameters=cost.parameters,
        macs=cost.macs,
        backend=config["backend"],
        machine=machine,
        versions=versions_of(config),
        note=note,
        command=line,
    )


def history_of(run: Any) -> list[Epoch]:
    """The epochs of a run, by its main output."""
    output = main_output(run.model)
    before = "" if output is None else f"{output}_"
    columns = {f"{part}{key}": f"{part}{before}{key}" for part in ("", "val_") for key in ("loss", "accuracy")}
    found = []
    for row in run.history:
        values: dict[str, Any] = {key: round(float(row[column]), 6) for key, column in columns.items()}
        found.append(Epoch(**_identity(run.config), epoch=int(row["epoch"]), **values))
    return found


def _identity(config: Any) -> dict[str, Any]:
    return {
        "model": config["model"],
        "data": config["data"]["name"],
        "recipe": config["recipe"]["name"],
        "epochs": config["recipe"]["epochs"],
        "seed": config["seed"],
    }
