"""From a written artefact to its certificate: reload, run, compare, describe."""

from __future__ import annotations

import contextlib
import functools
import logging
import math
from pathlib import Path
from typing import Any

import numpy as np

from kattn.export.errors import ExportError
from kattn.export.formats import Precision
from kattn.export.proof.compare import compare
from kattn.export.proof.kinds import checks, judge, unproven
from kattn.export.proof.report import Contents, Report, sha256_of, size_of, summarise
from kattn.export.proof.runner import BATCH, Runner
from kattn.export.source.model import Source
from kattn.export.source.samples import collect_inputs
from kattn.facts.recorded import record_of
from kattn.version import versions

Images = dict[str, np.ndarray]  # for each input
log = logging.getLogger("kattn.export")
PACKAGES = ("keras", "tensorflow", "numpy")
SMALL_BATCHES = (1, 2)
WITH_FLOAT_LAYERS = ("int8",)  # precisions


def comparison_images(source: Source, images: Any, calibration: Images | None = None) -> tuple[Images, str]:
    """The images to compare on, and a phrase for where they came from: given, else of the calibration, else made up."""
    count = _image_count(source.sizes[0])
    if images is not None:
        chosen, origin = collect_inputs(images, source, limit=max(count, 1024), what="comparison"), "given"
    elif calibration is not None:
        chosen, origin = _first(calibration, max(count, 64)), "calibration"
    else:
        chosen, origin = source.made_up(count), "random"
    return chosen, f"{_count(chosen)} {origin} images"


def certify(
    source: Source,
    runner: Runner,
    contents: Contents,
    final: Path,
    *,
    precision: str,
    limits: Precision,
    images: Images,
    origin: str,
    strict: bool = True,
) -> Report:
    """Run the written artefact in its own runtime, compare it with the model and describe it.

    Args:
        source: What was exported.
        runner: Of the artefact, which is still under its temporary name.
        contents: What its exporter tells of it.
        final: The name it will get.
        precision: Of the artefact.
        limits: What it must keep to.
        images, origin: To compare on, and a phrase for where they came from.
        strict: Refuse an artefact with an output that nothing judges.

    Raises: ExportError if the artefact does not compute what the model computes.
    """
    images = source.cast(images)
    expected = source.predict(images)
    log.info("comparing %s on %s", final, origin)
    batches = () if runner.batch else SMALL_BATCHES  # beside the comparison's own
    rounded = functools.cache(lambda: source.predict(_last_bit_changed(images))) if limits.allow_rounding else None
    held = functools.partial(judge, kinds=source.kinds, precision=precision, rounded=rounded)
    for batch in batches:
        few, got = _first(expected, batch), runner(_first(images, batch), batch_size=batch)
        compare(few, got)
        held(few, got, limits=Precision(tolerance=limits.tolerance))  # the other measures need more images
    if source.open:
        another = source.cast(source.made_up(2, source.sizes[-1]))
        few, got = source.predict(another), runner(another)
        compare(few, got)
        held(few, got, limits=Precision(tolerance=limits.tolerance))
    got = runner(images)
    differences = compare(expected, got)
    try:
        judged, notes = held(expected, got, limits=limits)
        doubts = unproven(expected, judged, limits, strict=strict)
    except ExportError as error:
        layers = contents.layers
        if contents.find_layers:
            with contextlib.suppress(ExportError):
                layers = contents.find_layers()
        if layers:
            worst = ", ".join(f"{row['operator']} in {row['layer']} ({row['added']:.2f})" for row in layers)
            out = " float_layers= leaves layers in float32." if precision in WITH_FLOAT_LAYERS else ""
            raise ExportError(f"{error} Error is added by: {worst}.{out}") from error
        raise
    passed = checks({name: found for name, found in judged.items() if name not in doubts})
    differing = [row for found in judged.values() for name, row in found["measures"].items() if name == "difference"]
    if batches:
        sizes = sorted({*batches, min(_count(images), BATCH)})
        passed["batch sizes run"] = ", ".join(map(str, sizes))
    if source.open:
        shapes = dict.fromkeys((next(iter(images.values())).shape[1:], source.sizes[-1]))
        passed["image sizes run"] = ", ".join("x".join(map(str, shape)) for shape in shapes)
    return Report(
        path=str(final),
        format=runner.format,
        precision=precision,
        bytes=size_of(runner.path),
        sha256=sha256_of(runner.path),
        inputs=contents.inputs,
        outputs={name: contents.outputs.get(name, {}) | judgement for name, judgement in judged.items()},
        differences=differences,
        **summarise(differences),
        images=origin,
        tolerance=max((row["limit"] for row in differing if row["limit"] is not None), default=None),
        ops=contents.ops,
        checks=contents.checks | passed,
        warnings=[*doubts.values(), *source.notes, *contents.warnings, *notes],
        proven=not doubts,
        layers=list(contents.layers),
        delegates=contents.delegates,
        versions=versions((*PACKAGES, *contents.packages)),
        facts=record_of(source.description),
        model=source.reference.name,
        blocks=source.blocks,
    )


def _last_bit_changed(images: Images) -> Images:
    """Every value moved to a neighbouring floating-point number, up and down by turns; integers as they are."""

    def changed(array: np.ndarray) -> np.ndarray:
        if array.dtype.kind != "f":
            return array
        towards = np.where(np.arange(array.size).reshape(array.shape) % 2, np.inf, -np.inf).astype(array.dtype)
        return np.nextafter(array, towards)

    return {name: changed(array) for name, array in images.items()}


def _first(images: Images, count: int) -> Images:
    return {name: array[:count] for name, array in images.items()}


def _count(images: Images) -> int:
    return len(next(iter(images.values())))


def _image_count(shape: tuple[int, ...]) -> int:
    """Images to compare on: 64 of CIFAR's size, fewer of larger ones, at least 8."""
    return int(min(64, max(8, 64 * 64 * 64 * 3 // math.prod(shape))))
