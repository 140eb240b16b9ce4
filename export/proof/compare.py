"""Proof that an artefact computes what its model computes: run it in its own runtime and compare."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from kattn.export.errors import ExportError
from kattn.export.proof.measures import CONFIDENT, max_relative
from kattn.export.proof.report import Difference


def compare(expected: Mapping[str, np.ndarray], got: Mapping[str, np.ndarray]) -> dict[str, Difference]:
    """The difference of every expected output.

    Returns: Difference by the name of the output.
    Raises: ExportError for an output that is missing or has another shape, and for values that are not finite.
    """
    differences = {}
    for name, reference in expected.items():
        if name not in got:
            raise ExportError(f"The artefact has no output {name!r}; it has {', '.join(got)}.")
        value = got[name]
        if value.shape != reference.shape:
            raise ExportError(f"Output {name!r} has the shape {value.shape}, the model's {reference.shape}.")
        for whose, array in (("model", reference), ("artefact", value)):
            if not np.isfinite(array).all():
                raise ExportError(f"Output {name!r} of the {whose} holds values that are not finite (NaN or infinite).")
        differences[name] = _difference(reference.astype("float64"), value.astype("float64"))
    return differences


def _difference(reference: np.ndarray, value: np.ndarray) -> Difference:
    gap = np.abs(reference - value)
    top1 = confident = None
    if reference.ndim == 2 and reference.shape[1] > 1:
        same = reference.argmax(1) == value.argmax(1)
        top1 = float(same.mean())
        highest = np.sort(reference, axis=1)
        sure = highest[:, -1] - highest[:, -2] > CONFIDENT
        confident = float(same[sure].mean()) if sure.any() else None
    return Difference(
        max_abs=float(gap.max()),
        mean_abs=float(gap.mean()),
        max_relative=max_relative(reference, value),
        top1_agreement=top1,
        confident_agreement=confident,
    )
