"""What every exporter does around its own conversion: read the model, collect images, write, prove, report."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kattn.export.errors import ExportError, ExportInputError
from kattn.export.formats import Format
from kattn.export.proof.certify import certify, comparison_images
from kattn.export.proof.child_runner import ChildRunner
from kattn.export.proof.report import Contents, Report
from kattn.export.proof.staging import Stage, staged
from kattn.export.source.model import Source
from kattn.export.source.preparing import prepare
from kattn.export.source.samples import collect_inputs
from kattn.facts.description import MEASURED
from kattn.facts.stated import Stated
from kattn.files import write_text


@dataclass(frozen=True)
class Job:
    """What an exporter is given to write one artefact.

    Attributes:
        source: The model, read and checked.
        stage: Where to write: the artefact to `stage.path`, intermediate files into `stage.scratch`.
        precision: One of the format's.
        batch: Fixed batch size; None leaves it open.
        calibration: Images to calibrate on for each input, where the precision needs them.
        images: Images that the artefact will be compared on, likewise.
        float_layers: Names of the layers to leave in float32.
    """

    source: Source
    stage: Stage
    precision: str
    batch: int | None
    calibration: dict[str, np.ndarray] | None
    images: dict[str, np.ndarray]
    float_layers: Sequence[str]


def export_model(
    row: Format,
    write: Callable[[Job], Contents],
    model: keras.Model,
    path: str | os.PathLike[str],
    *,
    precision: str = "float32",
    calibration: Any = None,
    calibration_images: int = 0,
    float_layers: Sequence[str] = (),
    batch: int | None = None,
    outputs: str | Sequence[str] | None = None,
    input_shape: Sequence[int] | None = None,
    images: Any = None,
    tolerance: float | None = None,
    kinds: str | Mapping[str, str] | None = None,
    min_agreement: float | None = None,
    max_error: float | None = None,
    strict: bool = True,
    overwrite: bool = True,
    stated: Mapping[str, Any] | None = None,
) -> Report:
    """Export a model to a format: the artefact gets its name once it is proven equal to the model.

    Args:
        row: The format.
        write: Writes the artefact of a job and tells what it holds.
        stated: What the caller states of the model: arguments of `kattn.facts.stated.Stated`.
        model, path, precision and the rest: As in `kattn.export.tflite`.

    Returns: The report, which is also written beside the artefact as `<path>.json`.
    Raises: ExportInputError for a model, an argument or images that cannot be used; ExportError if the conversion
        fails, a check does not pass or the disk refuses; nothing is left behind then.
    """
    started = time.perf_counter()
    row.check_precision(precision)
    if batch is not None and (not isinstance(batch, int) or batch < 1):
        raise ExportInputError(f"batch must be a positive number, or None for any. Received: {batch!r}")
    try:
        said = Stated(**(stated or {}), kinds=kinds or {})
    except ValueError as error:
        raise ExportInputError(str(error)) from None
    calibrated = row.precisions[precision].calibrated
    source = prepare(model, outputs, input_shape, said, open_sizes=row.open_sizes, quantised=calibrated)
    samples = None
    if calibrated:
        samples = collect_inputs(calibration, source, limit=calibration_images)
        for taken in source.inputs.values():
            # An array has a range of its own. Only what is known for certain gives the input more than that.
            if isinstance(calibration, (str, Path)) or taken.given.value_range.origin != MEASURED:
                taken.span = taken.given.value_range.value
    kept = source.layers_named(float_layers)
    chosen, origin = comparison_images(source, images, samples)
    target = Path(path)
    with staged(target, row, overwrite=overwrite) as stage:
        contents = write(Job(source, stage, precision, batch, samples, chosen, kept))
        report = certify(
            source,
            ChildRunner(row, stage.path, stage.scratch) if row.apart else row.open(stage.path, trust=True),
            contents,
            target,
            precision=precision,
            limits=row.precisions[precision].with_limits(tolerance, min_agreement, max_error),
            images=chosen,
            origin=origin,
            strict=strict,
        )
        labels = source.description.output.labels.value
        if labels and not row.describes_itself:
            write_text(stage.labels_path, "\n".join(labels) + "\n")
        report.seconds = round(time.perf_counter() - started, 3)
        report.write(stage.report_path)
    return report


CHANGE = "Change the layers named"


def refuse(
    found: Mapping[str, str],
    problem: str,
    *,
    strict: bool,
    allow: Sequence[str],
    way_out: str = "Change the layers named",
) -> None:
    """Raise ExportError for what was found in an artefact and is not allowed.

    Args:
        found: "operator" or "operator: reason" to a sentence that names the layers.
        problem: Start of the error: what is wrong with such a file.
        strict: False accepts everything.
        allow: Operators that are accepted.
        way_out: What the user can do; "or pass strict=False" follows.
    """
    refused = [sentence for key, sentence in found.items() if key.split(":")[0] not in allow]
    if strict and refused:
        raise ExportError(
            f"{problem}: {'; '.join(refused)}. {way_out}, or pass strict=False (or allow=) to have the "
            "file with these as warnings."
        )
