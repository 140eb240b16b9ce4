"""Proof that an artefact computes what its model computes: run it in its own runtime and compare."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from kattn.export.errors import ExportError
from kattn.export.proof.report import Difference

CONFIDENT = 0.1  # the model is sure of an image whose two highest classes it separates by more than this
TIMES, WIDEST = 10, 1e-2  # see `tolerance_for_rounding`
VARIED = 1e-3  # outputs that differ less than this from image to image do not tell a right artefact from a wrong one


def compare(expected: Mapping[str, np.ndarray], got: Mapping[str, np.ndarray]) -> dict[str, Difference]:
    """The difference of every expected output.

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


def check_differences(
    differences: Mapping[str, Difference], *, tolerance: float | None, min_agreement: float | None, precision: str
) -> dict[str, str]:
    """What was found, by check.

    Raises: ExportError if an output is further from the model than allowed, or agrees on too few images.
    """
    worst_name, worst = max(differences.items(), key=lambda item: item[1].max_relative)
    found = {}
    if tolerance is not None:
        if not worst.max_relative <= tolerance:
            raise ExportError(
                f"Output {worst_name!r} differs from the Keras model by {worst.max_relative:.3g} (relative to its "
                f"largest value, at least 1); {tolerance:g} is allowed at {precision}. tolerance= sets another limit."
            )
        found["difference"] = f"{worst.max_relative:.3g} <= {tolerance:g}"
    agreements = [d.confident_agreement for d in differences.values() if d.confident_agreement is not None]
    if min_agreement is not None and agreements:
        if min(agreements) < min_agreement:
            raise ExportError(
                f"The artefact gives the model's class for {min(agreements):.1%} of the images on which the model is "
                f"sure; {min_agreement:.1%} is asked for at {precision}. Calibrate on more and real images, take "
                'precision="float16", or set min_agreement=.'
            )
        found["agreement where the model is sure"] = f"{min(agreements):.4f} >= {min_agreement:g}"
    return found


def tolerance_for_rounding(
    tolerance: float, largest: float, rounding: Mapping[str, Difference]
) -> tuple[float, list[str]]:
    """A tolerance for a network that multiplies rounding errors, with the note that says so.

    A deep network with large activations (an untrained residual attention network has logits of 700) turns a change of
    the input's last bit into more than the tolerance. No two programs agree better on it, not even Keras at two batch
    sizes. Up to TIMES that change is allowed, never more than WIDEST.

    Args:
        tolerance: The precision's own.
        largest: The artefact's largest relative difference.
        rounding: Keras on the images against Keras on the same images with their last bits changed.
    """
    change = max(difference.max_relative for difference in rounding.values())
    allowed = min(TIMES * change, WIDEST)
    if not tolerance < largest <= allowed:
        return tolerance, []
    return allowed, [
        f"the network multiplies rounding errors: changing the last bit of its input moves its own output by "
        f"{change:.1e}, so a difference of {allowed:.1e} was allowed in place of {tolerance:g}"
    ]


def weak_comparison(expected: Mapping[str, np.ndarray]) -> list[str]:
    """A warning if the outputs hardly depend on the image: an artefact that ignores its input would pass as well."""
    weak = []
    for name, value in expected.items():
        scale = max(1.0, float(np.abs(value).max()))
        if len(value) > 1 and float(np.ptp(value, axis=0).max()) <= VARIED * scale:
            weak.append(
                f"output {name!r} hardly differs from image to image, so the comparison says little: an untrained "
                "model, or images unlike its data (give images=)"
            )
    return weak


def _difference(reference: np.ndarray, value: np.ndarray) -> Difference:
    gap = np.abs(reference - value)
    top1 = confident = None
    if reference.ndim == 2 and reference.shape[1] > 1:
        same = reference.argmax(1) == value.argmax(1)
        top1 = float(same.mean())
        highest = np.sort(reference, axis=1)
        sure = highest[:, -1] - highest[:, -2] > CONFIDENT
        confident = float(same[sure].mean()) if sure.any() else None
    largest = float(gap.max())
    return Difference(
        max_abs=largest,
        mean_abs=float(gap.mean()),
        max_relative=largest / max(1.0, float(np.abs(reference).max())),
        top1_agreement=top1,
        confident_agreement=confident,
    )
