"""What a model answers for an image, by the kind of its output: labels with scores, or numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kattn.evaluation.metrics import sigmoids, softmaxes
from kattn.facts.description import ATTRIBUTES, BINARY, CLASSES, EMBEDDING, INTEGERS, MAP, VALUES

Best = list[tuple[str, float | None]]
SHOWN = 6  # numbers of a row of values that a line of text shows
SIDES = ("no", "yes")  # of an output of one unit without labels


@dataclass(frozen=True)
class Prediction:
    """The answer for one image; `str` of it is one line.

    Attributes:
        image: The file's path as text, or the number of an image in an array.
        kind: Of the output, one of `kattn.facts.description.KINDS`.
        best: Labels with scores, the highest first: of classes their probabilities, of attributes and of one unit the
            probability of each answer, of a map the share of the image that each class has; of a class number the
            label without a score. Empty for other kinds.
        values: The output itself: probabilities where there are some, else its numbers.
    """

    image: str
    kind: str
    best: Best
    values: np.ndarray

    @property
    def label(self) -> str | None:
        """The label that comes first; None where there is none."""
        return self.best[0][0] if self.best else None

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it; of classes and maps without the output itself."""
        found: dict[str, Any] = {"image": self.image, "kind": self.kind}
        if self.best:
            return found | {
                "top": [
                    {"label": label, "score": score if score is None else round(score, 6)} for label, score in self.best
                ]
            }
        return found | {"values": self.values.tolist()}

    def __str__(self) -> str:
        if self.best:
            texts = (label if score is None else f"{label} {score:.1%}" for label, score in self.best)
            return f"{self.image}: {', '.join(texts)}"
        numbers = np.ravel(self.values)
        shape = "" if self.values.size <= SHOWN else f" ... ({' x '.join(map(str, self.values.shape))})"
        return f"{self.image}: {', '.join(f'{number:.6g}' for number in numbers[:SHOWN])}{shape}"


def answers(
    outputs: np.ndarray,
    names: Sequence[str],
    *,
    kind: str,
    labels: Sequence[str] | None = None,
    activated: bool | None = None,
    top: int = 5,
) -> list[Prediction]:
    """A model's outputs as predictions.

    Args:
        outputs: (images, ...).
        names: Of the images.
        kind: Of the output.
        labels: Of its classes; None for their numbers.
        activated: Whether classes are given as probabilities already; None: values outside 0 to 1 are scores.
        top: How many labels at most.
    """
    row = KINDS[kind]
    values = row.scaled(outputs, activated)
    last = values.shape[-1] if values.ndim > 1 else 1
    numbers = () if kind == INTEGERS else [str(i) for i in range(last)]
    known = labels or (SIDES if kind == BINARY else numbers)
    best = [row.best(one, known)[:top] for one in values]
    return [Prediction(name, kind, mine, one) for name, mine, one in zip(names, best, values, strict=True)]


@dataclass(frozen=True)
class Answer:
    """How outputs of a kind are told.

    Attributes:
        scaled: (outputs, activated) to the values of a prediction.
        best: (values of one image, labels) to labels with scores, the highest first.
    """

    scaled: Callable[[np.ndarray, bool | None], np.ndarray]
    best: Callable[[np.ndarray, Sequence[str]], Best]


def _probabilities(outputs: np.ndarray, activated: bool | None) -> np.ndarray:
    outputs = outputs.astype("float64")
    if activated is False:
        outputs = np.exp(outputs - outputs.max(axis=-1, keepdims=True))
        return outputs / outputs.sum(axis=-1, keepdims=True)
    return outputs if activated and outputs.min() >= 0 else softmaxes(outputs)


def _shares(outputs: np.ndarray, activated: bool | None) -> np.ndarray:
    outputs = outputs.astype("float64")
    return 1 / (1 + np.exp(-np.clip(outputs, -500, 500))) if activated is False else sigmoids(outputs)


def _pixels(outputs: np.ndarray, activated: bool | None) -> np.ndarray:
    return (_shares if outputs.shape[-1] == 1 else _probabilities)(outputs, activated)


def _same(outputs: np.ndarray, activated: bool | None) -> np.ndarray:
    return outputs


def _sorted(values: np.ndarray, labels: Sequence[str]) -> Best:
    order = np.argsort(-values, kind="stable")
    return [(labels[i] if i < len(labels) else str(i), float(values[i])) for i in order]


def _two_sides(values: np.ndarray, labels: Sequence[str]) -> Best:
    yes = float(values.reshape(-1)[0])
    best: Best = [(labels[1], yes), (labels[0], 1 - yes)]
    return best if yes > 0.5 else best[::-1]


def _areas(values: np.ndarray, labels: Sequence[str]) -> Best:
    if values.shape[-1] == 1:
        return _two_sides(np.array([(values > 0.5).mean()]), labels if len(labels) == 2 else SIDES)
    counts = np.bincount(values.argmax(axis=-1).ravel(), minlength=values.shape[-1])
    return [one for one in _sorted(counts / counts.sum(), labels) if one[1]]


def _nothing(values: np.ndarray, labels: Sequence[str]) -> Best:
    return []


def _numbered(values: np.ndarray, labels: Sequence[str]) -> Best:
    """The label of one class number; it has no score of its own."""
    if values.size != 1 or not 0 <= (number := int(np.ravel(values)[0])) < len(labels):
        return []
    return [(labels[number], None)]


KINDS: dict[str, Answer] = {
    CLASSES: Answer(_probabilities, _sorted),
    BINARY: Answer(_shares, _two_sides),
    ATTRIBUTES: Answer(_shares, _sorted),
    MAP: Answer(_pixels, _areas),
    VALUES: Answer(_same, _nothing),
    EMBEDDING: Answer(_same, _nothing),
    INTEGERS: Answer(_same, _numbered),
}
