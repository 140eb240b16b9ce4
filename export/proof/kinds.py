"""How outputs are judged, by what they are: KINDS has one row a kind, `formats.Precision` the bounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from kattn.export.errors import ExportError
from kattn.export.formats import Precision
from kattn.export.proof import measures
from kattn.export.proof.measures import Measure, tells

Outputs = Mapping[str, np.ndarray]

REMEDY = 'Calibrate on more and real images, take precision="float16", or set {option}=.'
DIFFERENCE = Measure(
    "difference",
    measures.max_relative,
    limit="tolerance",
    option="tolerance",
    least=False,
    failure="Output {name!r} differs from the Keras model by {value:.3g} (relative to its largest value, at least 1); "
    "{limit:g} is allowed at {precision}. tolerance= sets another limit.",
)


def _agreement(of: Callable[..., float | None], said: str) -> Measure:
    failure = f"The artefact gives {said} on which the model is sure; {{limit:.1%}} is asked for at {{precision}}. "
    return Measure("agreement where the model is sure", of, "min_agreement", "min_agreement", True, failure + REMEDY)


def _error(of: Callable[..., float | None], said: str) -> Measure:
    failure = (
        f"Output {{name!r}}: the error of {said} is {{value:.2g}} of how much they differ from image to image; "
        "{limit:g} is allowed at {precision}. "
    )
    return Measure("error over spread", of, "max_error", "max_error", False, failure + REMEDY)


COSINE = Measure(
    "cosine",
    measures.cosine,
    limit="min_cosine",
    option="min_agreement",
    least=True,
    failure="Output {name!r}: the cosine between its vectors and the model's is {value:.4f}; at least {limit:g} is "
    f"asked for at {{precision}}. {REMEDY}",
)
EQUAL = Measure(
    "equal numbers",
    measures.equal_share,
    limit="min_equal",
    option="min_agreement",
    least=True,
    failure="Output {name!r}: {value:.1%} of its whole numbers are the model's; {limit:.1%} is asked for at "
    "{precision}. min_agreement= sets another limit.",
)

# Kind (`kattn.facts`) -> what it is judged by. Of those with a bound at a precision the first is the kind's own there.
KINDS: dict[str, tuple[Measure, ...]] = {
    "classes": (
        DIFFERENCE,
        _agreement(measures.class_agreement, "the model's class for {value:.1%} of the images"),
        _error(measures.probability_error, "the log-odds"),
    ),
    "binary": (
        DIFFERENCE,
        _agreement(measures.side_agreement, "the model's yes or no for {value:.1%} of the images"),
        _error(measures.probability_error, "the log-odds"),
    ),
    "attributes": (
        DIFFERENCE,
        _agreement(measures.worst_side_agreement, "the model's answer on an attribute for {value:.1%} of the images"),
        _error(measures.probability_error, "the log-odds"),
    ),
    "values": (DIFFERENCE, _error(measures.value_error, "the values")),
    "map": (
        DIFFERENCE,
        _agreement(measures.pixel_agreement, "the model's class for {value:.1%} of the pixels"),
        _error(measures.probability_error, "the pixels' log-odds"),
    ),
    "embedding": (DIFFERENCE, COSINE, _error(measures.pooled_error, "the vectors")),
    "integers": (EQUAL,),
}

TIMES, WIDEST = 10, {"tolerance": 1e-2, "max_error": 0.1}  # see `_allowed`


def judge(
    expected: Outputs,
    got: Outputs,
    kinds: Mapping[str, str],
    limits: Precision,
    *,
    precision: str,
    rounded: Callable[[], Outputs] | None = None,
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Measure every output by its kind, and hold it to the bounds.

    Args:
        expected, got: The model's outputs and the artefact's, by name.
        kinds: Of the outputs, by name: rows of KINDS.
        limits: The bounds.
        precision: For errors.
        rounded: Gives the model's outputs on the images with their last bits changed, where a network that multiplies
            rounding errors is to be given room.

    Returns: name to "kind", "measure", "value" and "limit" (the kind's own measure at this precision), and "measures",
        all of them; and notes.
    Raises: ExportError for an output beyond a bound.
    """
    found, notes = {}, []
    for name, reference in expected.items():
        rows: dict[str, dict[str, Any]] = {}
        for measure in KINDS[kinds[name]]:
            value = measure.of(reference.astype("float64"), got[name].astype("float64"))
            limit = getattr(limits, measure.limit)
            if value is None:  # these images do not tell
                continue
            if limit is not None and not measure.holds(value, limit):
                room = (
                    _allowed(measure, reference, rounded()[name][: len(reference)])
                    if rounded and measure.limit in WIDEST
                    else limit
                )
                if not measure.holds(value, room):
                    said = {"name": name, "value": value, "limit": limit, "precision": precision}
                    raise ExportError(measure.failure.format(**said, option=measure.option))
                notes.append(
                    "the network multiplies rounding errors: changing the last bit of its input moves its own output "
                    f"by {room / TIMES:.1e} ({measure.name}), so {room:.1e} was allowed in place of {limit:g}"
                )
                limit = room
            rows[measure.name] = {"value": value, "limit": limit}
        bounded = [measure for measure, row in rows.items() if row["limit"] is not None]
        own = next(iter((*bounded, *rows)), None)
        first = rows[own] if own else {"value": None, "limit": None}
        found[name] = {"kind": kinds[name], "measure": own, **first, "measures": rows}
    return found, notes


def unproven(
    expected: Outputs, judged: Mapping[str, Mapping[str, Any]], limits: Precision, *, strict: bool
) -> dict[str, str]:
    """The outputs whose comparison proves little, each with a sentence that says why.

    Raises: ExportError for an output of a kind that has no bound at this precision, unless the user switched it off or
        `strict` is False.
    """
    reasons: dict[str, str] = {}
    for name, reference in expected.items():
        kind = judged[name]["kind"]
        bounded = any(getattr(limits, measure.limit) is not None for measure in KINDS[kind])
        if not bounded and not limits.switched_off:
            if strict:
                raise ExportError(
                    f"Nothing judges output {name!r} ({kind}) at this precision. Set tolerance=, min_agreement= or "
                    "max_error=, or pass strict=False to have the file with a warning."
                )
            reasons[name] = f"output {name!r} ({kind}) was not judged: this precision has no limit for it"
        elif not bounded:
            reasons[name] = f"output {name!r} ({kind}) was not judged: its limits were switched off"
        elif judged[name]["limit"] is None or not tells(reference, eight_bits=limits.tolerance is None):
            reasons[name] = (
                f"output {name!r} hardly differs from image to image, so the comparison says little: an untrained "
                "model, or images unlike its data (give images=)"
            )
    return reasons


def checks(judged: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """What was held to a bound, for the report: of several outputs the one closest to it."""
    found: dict[str, str] = {}
    every = {measure.name: measure for row in KINDS.values() for measure in row}
    for name, measure in every.items():
        rows = [found["measures"].get(name) for found in judged.values()]
        values = [(row["value"], row["limit"]) for row in rows if row and row["limit"] is not None]
        if values:
            value, limit = (min if measure.least else max)(values)
            found[name] = f"{value:.4f} >= {limit:g}" if measure.least else f"{value:.3g} <= {limit:g}"
    return found


def _allowed(measure: Measure, expected: np.ndarray, rounded: np.ndarray) -> float:
    """The bound of a network that multiplies rounding errors.

    A deep network with large activations (an untrained residual attention network has logits of 700) turns a change of
    the input's last bit into more than the tolerance. No two programs agree better on it, not even Keras at two batch
    sizes. Up to TIMES that change is allowed, never more than WIDEST.
    """
    change = measure.of(expected.astype("float64"), rounded.astype("float64")) or 0.0
    return min(TIMES * change, WIDEST[measure.limit])
