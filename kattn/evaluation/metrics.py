"""The numbers of an evaluation, from what a model answers and what is right."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from kattn.files import counted

CALIBRATION_BINS = 15
ROWS = 2**23  # numbers that are looked at at once
MATRIX_CLASSES = 300  # a matrix of 10,000 classes is a file of 550 MB


@dataclass(frozen=True)
class Evaluation:
    """How well a classifier does on a set of images.

    Attributes:
        images, classes: Counts.
        top1: Share of images whose highest probability is at their class.
        top5: Share of images whose class is among the five highest; None for five classes or fewer.
        loss: Mean cross-entropy in nats; None for a model that gives class numbers only, as for the next.
        calibration_error: Expected gap between confidence and accuracy over 15 bins (Guo et al., arXiv:1706.04599).
        per_class: Accuracy by class name; None for a class without images.
        confusion: confusion[i][j] images of class i were called j. None above MATRIX_CLASSES classes.
        model, data: What was evaluated on what.
        first_level: Top-1 of the part of the class names before "/", probabilities summed; None without such names.
        confused: In place of a large matrix its numbers that are not 0: [i, j, images]. None beside a matrix.
    """

    images: int
    classes: int
    top1: float
    top5: float | None
    loss: float | None
    calibration_error: float | None
    per_class: dict[str, float | None]
    confusion: list[list[int]] | None
    model: str = ""
    data: str = ""
    first_level: float | None = None
    confused: list[list[int]] | None = None

    @property
    def accuracy(self) -> float:
        """Top-1, under the name that the others have too."""
        return self.top1

    def to_dict(self) -> dict[str, Any]:
        """Everything, as JSON holds it."""
        return asdict(self)

    def __str__(self) -> str:
        top5 = "" if self.top5 is None else f", top-5 {self.top5:.2%}"
        first = "" if self.first_level is None else f", first level {self.first_level:.2%}"
        loss = "" if self.loss is None else f", loss {self.loss:.4f}, calibration error {self.calibration_error:.4f}"
        what = f"{counted(self.images, 'image')} of {self.data}"
        return f"{self.model} on {what}: accuracy {self.top1:.2%}{top5}{first}{loss}"


@dataclass(frozen=True)
class AttributeEvaluation:
    """How well a model tells for each of several attributes whether an image has it.

    Attributes:
        images, attributes: Counts.
        accuracy: Share of right answers (probability above one half) over all images and attributes.
        average_precision: Area under precision against recall, the mean over the attributes. An attribute that all
            images have, or none, is left out; None where no attribute is left.
        loss: Mean binary cross-entropy in nats.
        calibration_error: As in Evaluation, of all answers.
        per_attribute: Accuracy by name.
        model, data: What was evaluated on what.
    """

    images: int
    attributes: int
    accuracy: float
    average_precision: float | None
    loss: float
    calibration_error: float
    per_attribute: dict[str, float]
    model: str = ""
    data: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Everything, as JSON holds it."""
        return asdict(self)

    def __str__(self) -> str:
        precision = "" if self.average_precision is None else f", average precision {self.average_precision:.2%}"
        return (
            f"{self.model} on {counted(self.images, 'image')} of {self.data}: {self.attributes} attributes, accuracy "
            f"{self.accuracy:.2%}{precision}, loss {self.loss:.4f}, calibration error {self.calibration_error:.4f}"
        )


def measure_attributes(
    outputs: np.ndarray, labels: np.ndarray, names: Any = None, *, model: str = "", data: str = ""
) -> AttributeEvaluation:
    """How well a model tells attributes.

    Args:
        outputs: Probabilities (images, attributes); values outside 0 to 1 are taken for logits.
        labels: (images, attributes), 1 where an image has the attribute.
        names: Of the attributes; None for their numbers.
        model, data: Names of what was evaluated on what.

    Returns: An AttributeEvaluation.
    Raises: ValueError for outputs that are not finite, or are not one row an image with a number for each class.
    """
    from sklearn.metrics import average_precision_score

    outputs, labels = np.asarray(outputs), np.asarray(labels)
    _check_shape(outputs, labels, model, data)
    outputs, labels = sigmoids(finite(outputs, model, data)), labels.astype(bool)
    right = (outputs > 0.5) == labels
    of_truth = np.where(labels, outputs, 1 - outputs)
    precisions = [
        float(average_precision_score(labels[:, i], outputs[:, i]))
        for i in range(labels.shape[1])
        if 0 < labels[:, i].sum() < len(labels)
    ]
    names = names if names is not None else [str(i) for i in range(labels.shape[1])]
    return AttributeEvaluation(
        images=len(labels),
        attributes=labels.shape[1],
        accuracy=float(right.mean()),
        average_precision=float(np.mean(precisions)) if precisions else None,
        loss=float(-np.log(np.maximum(of_truth, 1e-7)).mean()),
        calibration_error=calibration_error(np.maximum(outputs, 1 - outputs).ravel(), right.ravel()),
        per_attribute={str(name): float(right[:, i].mean()) for i, name in enumerate(names)},
        model=model,
        data=data,
    )


def _check_shape(outputs: np.ndarray, labels: np.ndarray, model: str, data: str) -> None:
    wanted = int(labels.max(initial=-1)) + 1 if labels.ndim == 1 else labels.shape[1]
    fits = outputs.ndim == 2 and (outputs.shape[1] >= wanted if labels.ndim == 1 else outputs.shape[1] == wanted)
    if not fits or len(outputs) != len(labels):
        raise ValueError(
            f"{model or 'The model'} gives answers of the shape {outputs.shape} for {len(labels)} images of "
            f"{data or 'the data'}, which have {wanted} {'classes' if labels.ndim == 1 else 'attributes'}."
        )


def finite(outputs: np.ndarray, model: str, data: str) -> np.ndarray:
    """Outputs as float64. Raises: ValueError for values that are not finite."""
    outputs = np.asarray(outputs, "float64")
    if not np.isfinite(outputs).all():
        raise ValueError(f"{model or 'The model'} gives values that are not finite for {data or 'these images'}.")
    return outputs


def sigmoids(outputs: np.ndarray) -> np.ndarray:
    """Outputs as probabilities of yes: values outside 0 to 1 are logits."""
    if are_logits(outputs):
        outputs = 1 / (1 + np.exp(-np.clip(outputs, -500, 500)))
    return np.clip(outputs, 0.0, 1.0)


def are_logits(outputs: np.ndarray) -> bool:
    """Whether values lie outside 0 to 1."""
    return bool(outputs.min() < -1e-3 or outputs.max() > 1 + 1e-3)


def softmaxes(outputs: np.ndarray, logits: bool | None = None) -> np.ndarray:
    """Outputs as probabilities of classes, along the last axis; None looks whether they are logits."""
    if are_logits(outputs) if logits is None else logits:
        outputs = np.exp(outputs - outputs.max(axis=-1, keepdims=True))
    return outputs / np.maximum(outputs.sum(axis=-1, keepdims=True), 1e-12)


def confusion_of(labels: np.ndarray, answers: np.ndarray, classes: int) -> dict[str, Any]:
    """The confusion of classes, as a matrix up to MATRIX_CLASSES classes, else as its numbers that are not 0."""
    pairs, counts = np.unique(labels.astype("int64") * classes + answers, return_counts=True)
    if classes > MATRIX_CLASSES:
        rows = np.stack([pairs // classes, pairs % classes, counts], axis=1)
        return {"confusion": None, "confused": rows.tolist()}
    matrix = np.zeros(classes * classes, int)
    matrix[pairs] = counts
    return {"confusion": matrix.reshape(classes, classes).tolist(), "confused": None}


def accuracies(labels: np.ndarray, right: np.ndarray, names: Any) -> dict[str, float | None]:
    """Share of right answers by class; None for a class without images."""
    sizes = np.bincount(labels, minlength=len(names))
    hits = np.bincount(labels, weights=right, minlength=len(names))
    return {str(name): float(hits[i] / sizes[i]) if sizes[i] else None for i, name in enumerate(names)}


def first_level(probabilities: np.ndarray, labels: np.ndarray, names: Any) -> float | None:
    """Top-1 of the part of the class names before "/"; None where a name has no "/"."""
    if not all("/" in name for name in names):
        return None
    firsts = [name.partition("/")[0] for name in names]
    groups = sorted(set(firsts))
    member = np.array([[first == group for group in groups] for first in firsts], float)
    of_class = np.array([groups.index(first) for first in firsts])
    return float(((probabilities @ member).argmax(axis=1) == of_class[labels]).mean())


def measure(
    outputs: np.ndarray, labels: np.ndarray, class_names: Any = None, *, model: str = "", data: str = ""
) -> Evaluation:
    """How well a model tells classes.

    Args:
        outputs: Probabilities (images, classes); values outside 0 to 1 are taken for logits.
        labels: Numbers of the right classes (images,).
        class_names: Names of the classes; None for their numbers.
        model, data: Names of what was evaluated on what.

    Returns: An Evaluation.
    Raises: ValueError for outputs that are not finite, or are not one row an image with a number for each class.
    """
    outputs, labels = np.asarray(outputs), np.asarray(labels)
    _check_shape(outputs, labels, model, data)
    count, classes = outputs.shape
    names = list(class_names)[:classes] if class_names is not None else [str(i) for i in range(classes)]
    logits = are_logits(outputs)
    answers, ranked = np.empty(count, int), np.empty(count, int)
    of_class, highest = np.empty(count), np.empty(count)
    firsts = 0.0
    for start in range(0, count, step := max(1, ROWS // classes)):  # thousands of classes would fill the memory
        part = slice(start, start + step)
        probabilities = softmaxes(finite(outputs[part], model, data), logits)
        answers[part], highest[part] = probabilities.argmax(axis=1), probabilities.max(axis=1)
        of_class[part] = probabilities[np.arange(len(probabilities)), labels[part]]
        ranked[part] = ranks(probabilities, labels[part])
        firsts += (first_level(probabilities, labels[part], names) or 0.0) * len(probabilities)
    right = answers == labels
    return Evaluation(
        images=count,
        classes=classes,
        top1=float(right.mean()),
        top5=float((ranked < 5).mean()) if classes > 5 else None,
        loss=float(-np.log(np.maximum(of_class, 1e-7)).mean()),
        calibration_error=calibration_error(highest, right),
        per_class=accuracies(labels, right, names),
        **confusion_of(labels, answers, classes),
        model=model,
        data=data,
        first_level=firsts / count if all("/" in name for name in names) else None,
    )


def ranks(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Place of each image's class among its scores, 0 for the highest.

    Among equal scores the higher class number comes first, as in sklearn's top_k_accuracy_score: outputs of 8 bits are
    often equal, and counting them all as hits would make every class one of the five highest.

    Args:
        scores: (images, classes).
        labels: Numbers of the right classes (images,).
    """
    own = scores[np.arange(len(scores)), labels][:, None]
    later = np.arange(scores.shape[1]) > np.asarray(labels)[:, None]
    return ((scores > own) | ((scores == own) & later)).sum(axis=1)


def calibration_error(confidence: np.ndarray, right: np.ndarray, bins: int = CALIBRATION_BINS) -> float:
    """Expected calibration error: mean over images of |accuracy - confidence| in the image's bin of confidence.

    Args:
        confidence: Highest probability of each image, 0 to 1 (images,).
        right: Whether each answer is right (images,).
        bins: Number of bins of equal width.

    Returns: A number in 0-1; 0 is perfect calibration.
    """
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.bincount(place, weights=right.astype(float) - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(confidence))
