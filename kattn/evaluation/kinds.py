"""What is measured of an output of each kind, and the labels that it is compared with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kattn.evaluation.metrics import (
    AttributeEvaluation,
    Evaluation,
    accuracies,
    confusion_of,
    measure,
    measure_attributes,
)
from kattn.evaluation.pixels import MapEvaluation, measure_map
from kattn.evaluation.values import ValueEvaluation, measure_values
from kattn.evaluation.yes_or_no import BinaryEvaluation, measure_binary
from kattn.facts.description import (
    ATTRIBUTES,
    BINARY,
    CERTIFICATE,
    CLASSES,
    FILE,
    INTEGERS,
    KINDS,
    MAP,
    MODEL,
    UNKNOWN,
    VALUES,
    Fact,
    Output,
)
from kattn.facts.description import MEASURED as MEASURED_ON
from kattn.suggest import unknown

AnyEvaluation = Evaluation | BinaryEvaluation | AttributeEvaluation | ValueEvaluation | MapEvaluation


@dataclass(frozen=True)
class Measured:
    """How a kind of output is evaluated.

    Attributes:
        targets: What its labels are, as in `kattn.data.load`.
        classes: The number of classes (attributes, values) by the size of the output's last axis.
        measure: (outputs, labels, names, model=, data=) to the evaluation.
    """

    targets: str
    classes: Callable[[int | None], int | None]
    measure: Callable[..., AnyEvaluation]


def _measure_numbers(
    outputs: np.ndarray, labels: np.ndarray, class_names: Any = None, *, model: str = "", data: str = ""
) -> Evaluation:
    """The evaluation of a model that gives class numbers, and no probabilities."""
    answers = outputs.reshape(len(labels)).astype("int64")
    names = list(class_names) if class_names is not None else []
    names += [str(i) for i in range(len(names), int(max(answers.max(), labels.max())) + 1)]
    right = answers == labels
    return Evaluation(
        images=len(labels),
        classes=len(names),
        top1=float(right.mean()),
        top5=None,
        loss=None,
        calibration_error=None,
        per_class=accuracies(labels, right, names),
        **confusion_of(labels, answers, len(names)),
        model=model,
        data=data,
    )


def _same(last: int | None) -> int | None:
    return last


MEASURED: dict[str, Measured] = {
    CLASSES: Measured("classes", _same, measure),
    BINARY: Measured("classes", lambda last: 2, measure_binary),
    ATTRIBUTES: Measured("attributes", _same, measure_attributes),
    VALUES: Measured("values", _same, measure_values),
    MAP: Measured("map", lambda last: 2 if last == 1 else last, measure_map),
    INTEGERS: Measured("classes", lambda last: None, _measure_numbers),
}


def measured(kind: str, rank: int, name: str) -> Measured:
    """How an output is evaluated.

    Args:
        kind: Of the output.
        rank: Of the output, with the batch.
        name: Of the output, for the error.

    Raises: ValueError for a kind that labels say nothing about.
    """
    if kind == INTEGERS and rank > 2:
        return MEASURED[MAP]
    if kind not in MEASURED:
        raise ValueError(
            f"output {name!r} is an {kind}: there are no labels to compare it with. Choose another output with "
            "output=, or say what it is with kind=."
        )
    return MEASURED[kind]


def kind_of(output: Output) -> Fact:
    """The kind of an output; not known of a linear layer of which only its name speaks for classes."""
    return UNKNOWN if output.activated is False and output.kind.origin == MODEL else output.kind


def known_kind(fact: Fact, stated: str | None = None) -> str | None:
    """The kind of an output, where something says it; None where the labels have to.

    A linear layer says nothing: its numbers may be those of a regression, and logits of classes too.

    Raises: ValueError for a stated kind that does not exist.
    """
    if stated is not None:
        if stated not in KINDS:
            raise unknown("kind of output", stated, KINDS)
        return stated
    return None if fact.value == VALUES and fact.origin in (MODEL, MEASURED_ON, CERTIFICATE, FILE) else fact.value


def labels_for(
    fact: Fact, shape: Sequence[int | None] | None, name: str, stated: str | None = None
) -> tuple[str | Callable[[np.ndarray], str], int | None]:
    """The labels that an output is compared with: `targets` and `classes` of `kattn.data.load`.

    Args:
        fact: The kind of the output.
        shape: Of the output, without the batch; None where that is not known.
        name: Of the output, for errors.
        stated: The kind that the caller states.

    Raises: ValueError for a kind that labels say nothing about, or that does not exist.
    """
    last = shape[-1] if shape else None
    if kind := known_kind(fact, stated):
        row = measured(kind, 1 + len(shape or ()), name)
        return row.targets, row.classes(last)
    return targets_by_labels(fact.value == VALUES and last in (None, 1)), None if last == 1 else last


def targets_by_labels(number: bool) -> Callable[[np.ndarray], str]:
    """What labels are, for answers of which little is known: a function's, or those of a linear layer.

    Args:
        number: An answer is one number, of a linear layer: labels are then the numbers that it should be.
    """

    def targets(labels: np.ndarray) -> str:
        whole = labels.dtype.kind in "iub" or bool((labels == np.round(labels)).all())
        if whole and labels.ndim > 2 and labels.shape[1:] != (1, 1):
            return "map"
        if labels.ndim == 2 and labels.shape[1] > 1:
            return "attributes" if bool(np.isin(labels, (0, 1)).all()) else "values"
        yes_or_no = whole and bool(np.isin(labels, (0, 1)).all())
        return "values" if number or not (labels.dtype.kind in "iub" or yes_or_no) else "classes"

    return targets


def kind_by_targets(targets: str, shape: Sequence[int | None], whole: bool = False) -> str:
    """The kind of an output of which nothing else is known, by what the labels are.

    Args:
        targets: What the labels are.
        shape: Of the output, without the batch.
        whole: It gives whole numbers.
    """
    single = tuple(shape) in ((), (1,))
    if whole and targets in ("classes", "map"):
        return INTEGERS
    return {"attributes": ATTRIBUTES, "values": VALUES, "map": MAP}.get(targets, BINARY if single else CLASSES)


def from_dict(content: dict[str, Any]) -> AnyEvaluation:
    """What `to_dict` of an evaluation gave. Raises: TypeError for anything else."""
    marks: dict[str, Callable[..., AnyEvaluation]] = {
        "per_attribute": AttributeEvaluation,
        "roc_auc": BinaryEvaluation,
        "per_value": ValueEvaluation,
        "mean_iou": MapEvaluation,
        "per_class": Evaluation,
    }
    known = [made for mark, made in marks.items() if mark in content]
    if not known:
        raise TypeError(f"it has none of {', '.join(marks)}")
    return known[0](**content)
