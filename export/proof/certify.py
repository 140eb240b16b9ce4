"""From a written artefact to its certificate: reload, run, compare, describe."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kattn.export.errors import ExportError
from kattn.export.proof.compare import AGREEMENTS, TOLERANCES, compare, judge, load, weak_comparison, widened
from kattn.export.proof.report import Report, sha256_of, size_of, summarise, versions
from kattn.export.source.preparing import Source, image_count
from kattn.export.source.samples import collect, made_up

log = logging.getLogger("kattn.export")
PACKAGES = ("keras", "tensorflow", "numpy")


def comparison_images(source: Source, images: Any, calibration: np.ndarray | None = None) -> tuple[np.ndarray, str]:
    """The images to compare on, and a phrase for where they came from: given, else of the calibration, else made up."""
    count = image_count(source.shape)
    if images is not None:
        chosen = collect(images, source.shape, limit=max(count, 1024), pixels=source.pixels, what="comparison")
        origin = "given"
    elif calibration is not None:
        chosen, origin = calibration[: max(count, 64)], "calibration"
    else:
        chosen, origin = made_up(count, source.shape, pixels=source.pixels), "random"
    return chosen, f"{len(chosen)} {origin} images"


def certify(
    source: Source,
    written: Path,
    final: Path,
    *,
    precision: str,
    images: np.ndarray,
    origin: str,
    tolerance: float | None,
    min_agreement: float | None,
    ops: dict[str, int],
    checks: dict[str, str],
    warnings: Sequence[str],
    inputs: dict[str, dict[str, Any]],
    outputs: dict[str, dict[str, Any]],
    packages: Sequence[str],
    layers: Sequence[dict[str, Any]] = (),
    delegates: dict[str, Any] | None = None,
    batches: Sequence[int] = (),
) -> Report:
    """Run the written artefact in its own runtime, compare it with the model and describe it.

    Args:
        source: What was exported.
        written: The artefact, still under its temporary name.
        final: The name it will get.
        layers: Where 8 bits lose accuracy.
        delegates: What accelerators take of it.
        batches: Batch sizes to run it at beside the comparison's own.
        tolerance, min_agreement: None takes the precision's default; a number sets it; for a tolerance infinity, for an
            agreement 0 switches the check off.

    Raises: ExportError if the artefact does not compute what the model computes.
    """
    expected = source.predict(images.astype(source.dtype))
    log.info("comparing %s on %s", final, origin)
    limit = TOLERANCES[precision] if tolerance is None else tolerance
    limit = None if limit is None or np.isinf(limit) else limit
    agreement = AGREEMENTS[precision] if min_agreement is None else min_agreement
    runner = load(written)
    smaller = [
        compare({name: value[:batch] for name, value in expected.items()}, runner(images[:batch], batch_size=batch))
        for batch in batches
    ]
    differences = compare(expected, runner(images))
    notes: list[str] = []
    if precision == "float32" and tolerance is None and limit is not None:
        furthest = max(d.max_relative for found in (differences, *smaller) for d in found.values())
        if furthest > limit:
            own = compare(expected, source.predict(_last_bit_changed(images.astype(source.dtype))))
            limit, notes = widened(limit, furthest, own)
    for found in smaller:
        judge(found, tolerance=limit, min_agreement=None, precision=precision)
    try:
        passed = judge(differences, tolerance=limit, min_agreement=agreement or None, precision=precision)
    except ExportError as error:
        if layers:
            worst = ", ".join(f"{row['operator']} in {row['layer']} ({row['added']:.2f})" for row in layers)
            raise ExportError(f"{error} Error is added by: {worst}. float_layers= leaves layers in float32.") from error
        raise
    if batches:
        passed["batch sizes run"] = ", ".join(str(b) for b in sorted({*batches, min(len(images), runner.batch or 32)}))
    return Report(
        path=str(final),
        format=runner.format,
        precision=precision,
        bytes=size_of(written),
        sha256=sha256_of(written),
        inputs=inputs,
        outputs=outputs,
        differences=differences,
        **summarise(differences),
        images=origin,
        tolerance=limit,
        ops=ops,
        checks=checks | passed,
        warnings=[*source.notes, *warnings, *notes, *weak_comparison(expected)],
        layers=list(layers),
        delegates=delegates or {},
        versions=versions((*PACKAGES, *packages)),
    )


def _last_bit_changed(images: np.ndarray) -> np.ndarray:
    """Every value moved to a neighbouring floating-point number, up and down by turns; integers as they are."""
    if images.dtype.kind != "f":
        return images
    towards = np.where(np.arange(images.size).reshape(images.shape) % 2, np.inf, -np.inf).astype(images.dtype)
    return np.nextafter(images, towards)
