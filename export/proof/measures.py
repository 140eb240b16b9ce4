"""How far an artefact's output is from the model's, in one number: what each kind of output is measured by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

CONFIDENT = 0.1  # the model is sure where it separates its two highest classes by more than this
VARIED = 1e-3  # outputs that differ less than this from image to image do not tell a right artefact from a wrong one
VARIED_PROBABILITY = 0.01  # the same in 8 bits, whose probabilities are 1/256 apart
LEAST_PROBABILITY = 1 / 128  # smaller ones are not told apart: 8 bits hold two levels below
FEWEST = 8  # sure images from which the share of a single attribute is read


@dataclass(frozen=True)
class Measure:
    """One number of a comparison.

    Attributes:
        name: For reports.
        of: (model's output, artefact's output), float64 arrays of one shape, to the number; None where these images do
            not tell.
        limit: The field of `formats.Precision` that bounds it.
        option: The exporter's argument that sets another bound.
        least: The bound is the least that is asked for, not the most that is allowed.
        failure: Sentence with {value}, {limit}, {name} and {precision} for an artefact beyond the bound.
    """

    name: str
    of: Callable[[np.ndarray, np.ndarray], float | None]
    limit: str
    option: str
    least: bool
    failure: str

    def holds(self, value: float, limit: float) -> bool:
        """Whether a value is within the bound."""
        return value >= limit if self.least else value <= limit


def max_relative(expected: np.ndarray, got: np.ndarray) -> float:
    """Largest absolute difference over max(1, largest absolute value of the model's output)."""
    return float(np.abs(expected - got).max()) / max(1.0, float(np.abs(expected).max()))


def class_agreement(expected: np.ndarray, got: np.ndarray) -> float | None:
    """Share of places with the model's highest class, of those where the model is sure; the classes come last."""
    highest = np.sort(expected if are_probabilities(expected) else _softmax(expected), axis=-1)
    sure = highest[..., -1] - highest[..., -2] > CONFIDENT
    same = expected.argmax(-1) == got.argmax(-1)
    return float(same[sure].mean()) if sure.any() else None


def side_agreement(expected: np.ndarray, got: np.ndarray) -> float | None:
    """Share of answers on the model's side of one half, of those that are further from it than CONFIDENT / 2."""
    sure, same = _sides(expected, got)
    return float(same[sure].mean()) if sure.any() else None


def worst_side_agreement(expected: np.ndarray, got: np.ndarray) -> float | None:
    """`side_agreement` of the attribute that has the least, of those with FEWEST sure images, and of all together."""
    sure, same = _sides(expected, got)
    shares = [same[sure].mean()] if sure.any() else []
    shares += [same[sure[:, i], i].mean() for i in range(sure.shape[1]) if sure[:, i].sum() >= FEWEST]
    return float(min(shares)) if shares else None


def pixel_agreement(expected: np.ndarray, got: np.ndarray) -> float | None:
    """`class_agreement` of a map's pixels; where these hold a yes or no, `side_agreement`."""
    sides = are_probabilities(expected) and np.abs(expected.sum(axis=-1) - 1).max() > 0.01
    return (side_agreement if sides or expected.shape[-1] == 1 else class_agreement)(expected, got)


def equal_share(expected: np.ndarray, got: np.ndarray) -> float:
    """Share of equal numbers."""
    return float((expected == got).mean())


def cosine(expected: np.ndarray, got: np.ndarray) -> float | None:
    """Mean cosine between the two vectors of each image, of those that are not zero."""
    expected, got = expected.reshape(len(expected), -1), got.reshape(len(got), -1)
    norms = np.linalg.norm(expected, axis=1) * np.linalg.norm(got, axis=1)
    some = norms > 0
    return float(((expected * got).sum(axis=1)[some] / norms[some]).mean()) if some.any() else None


def probability_error(expected: np.ndarray, got: np.ndarray) -> float | None:
    """Root mean square error of the log-odds over their standard deviation, of all or of those that the model leaves
    open, whichever is larger.

    Of log-odds, because a network whose last layer is halved keeps every class and, where it is sure, nearly every
    probability. Open are probabilities at least LEAST_PROBABILITY from 0 and 1; the others count as that far. One unit
    that gives the same for all images is compared with how far it is from one half.
    """
    if not are_probabilities(expected):
        return pooled_error(expected, got)
    varied = float(expected.std()) > VARIED_PROBABILITY
    expected, got = _log_odds(expected), _log_odds(got)
    opened = np.abs(expected) < np.log(1 / LEAST_PROBABILITY - 1)
    ratios = []
    for chosen in (np.ones_like(opened), opened):
        scale = float(expected[chosen].std() if varied else np.abs(expected[chosen].mean())) if chosen.any() else 0.0
        if chosen.sum() >= FEWEST and scale > VARIED_PROBABILITY:
            ratios.append(float(np.sqrt(np.square(expected - got)[chosen].mean())) / scale)
    single = expected.ndim == 1 or expected.shape[-1] == 1
    return max(ratios) if ratios and (varied or single) else None


def pooled_error(expected: np.ndarray, got: np.ndarray) -> float | None:
    """Root mean square error over the standard deviation of the model's output from image to image, of all values.

    Of an output that hardly differs from image to image it is the error over its own size.
    """
    if len(expected) < 2:
        return None
    error = float(np.sqrt(np.square(expected - got).mean()))
    scale = float(np.sqrt((np.square(expected) if hardly_varies(expected) else expected.var(axis=0)).mean()))
    return error / scale if scale > 0 else error


def value_error(expected: np.ndarray, got: np.ndarray) -> float | None:
    """`pooled_error` of the value (along the last axis) where it is largest: years and prices have their own scales."""
    if len(expected) < 2:
        return None
    values = expected.shape[-1] if expected.ndim > 1 else 1
    expected, got = (x.reshape(len(x), -1, values) for x in (expected, got))
    errors = np.sqrt(np.square(expected - got).mean(axis=(0, 1)))
    spreads, sizes = np.sqrt(expected.var(axis=0).mean(axis=0)), np.abs(expected).max(axis=(0, 1))
    scales = np.where(spreads > VARIED * sizes, spreads, sizes)
    return float(np.max(errors / np.where(scales > 0, scales, 1.0)))


def tells(expected: np.ndarray, eight_bits: bool) -> bool:
    """Whether an output depends so much on the image that a right artefact can be told from a wrong one."""
    if hardly_varies(expected):
        return False
    fine = not eight_bits or len(expected) < 2 or not are_probabilities(expected)
    return fine or float(expected.std(axis=0).max()) > VARIED_PROBABILITY


def hardly_varies(expected: np.ndarray) -> bool:
    """Whether an output hardly depends on the image: an artefact that ignores its input would pass as well."""
    return len(expected) > 1 and float(np.ptp(expected, axis=0).max()) <= VARIED * float(np.abs(expected).max())


def are_probabilities(x: np.ndarray) -> bool:
    """Whether all values lie between 0 and 1."""
    return bool(x.min() >= -1e-3 and x.max() <= 1 + 1e-3)


def _sides(expected: np.ndarray, got: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the model is sure of a yes or no, and where the artefact says the same."""
    half = 0.5 if are_probabilities(expected) else 0.0
    probability = expected if half else 1 / (1 + np.exp(-expected))
    return np.abs(probability - 0.5) > CONFIDENT / 2, (expected > half) == (got > half)


def _softmax(x: np.ndarray) -> np.ndarray:
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def _log_odds(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    return np.log(x) - np.log(1 - x)
