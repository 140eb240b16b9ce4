"""How well a model tells the class of every pixel."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from kattn.data.checks import VOID
from kattn.evaluation.metrics import MATRIX_CLASSES, finite, sigmoids, softmaxes
from kattn.files import counted


@dataclass(frozen=True)
class MapEvaluation:
    """How well a model tells the class of every pixel.

    Attributes:
        images, pixels, classes: Counts; pixels that are labelled.
        pixel_accuracy: Share of pixels with the right class.
        mean_iou: Mean over the classes of intersection over union: pixels that are of the class and called so, over
            those that are either. Classes that are neither are left out.
        loss: Mean cross-entropy of a pixel in nats; None for a model that gives class numbers only.
        per_class_iou: By class name; None for a class that no pixel is of, nor called.
        confusion: confusion[i][j] pixels of class i were called j; None above a size.
        model, data: What was evaluated on what.
    """

    images: int
    pixels: int
    classes: int
    pixel_accuracy: float
    mean_iou: float
    loss: float | None
    per_class_iou: dict[str, float | None]
    confusion: list[list[int]] | None
    model: str = ""
    data: str = ""

    @property
    def accuracy(self) -> float:
        """Of the pixels, under the name that the others have too."""
        return self.pixel_accuracy

    def to_dict(self) -> dict[str, Any]:
        """Everything, as JSON holds it."""
        return asdict(self)

    def __str__(self) -> str:
        loss = "" if self.loss is None else f", loss {self.loss:.4f}"
        return (
            f"{self.model} on {counted(self.images, 'image')} of {self.data}: "
            f"pixel accuracy {self.pixel_accuracy:.2%}, mean IoU {self.mean_iou:.2%}{loss}"
        )


def measure_map(
    outputs: Iterable[np.ndarray], labels: np.ndarray, class_names: Any = None, *, model: str = "", data: str = ""
) -> MapEvaluation:
    """How well a model tells the class of every pixel.

    Args:
        outputs: Probabilities (images, height, width, classes), one batch after the other or all in one array; one
            channel holds the probability of class 1 of two. Values outside 0 to 1 are logits. Or class numbers
            (images, height, width), of an integer type.
        labels: Class numbers (images, height, width); 255 where a pixel has no label.
        class_names: Names of the classes; None for their numbers.
        model, data: Names of what was evaluated on what.

    Returns: A MapEvaluation.
    Raises: ValueError for outputs that are not finite or of another size than the labels.
    """
    classes, sums, start = len(class_names) if class_names is not None else 0, 0.0, 0
    counts, numbers_only = np.zeros((0, 0), "int64"), False
    for batch in [outputs] if isinstance(outputs, np.ndarray) else outputs:
        truth = labels[start : start + len(batch)]
        start += len(batch)
        answers, of_class = _answers(batch, truth, model, data)
        kept = truth != VOID
        classes = max(classes, int(answers.max()) + 1, int(truth[kept].max(initial=0)) + 1, len(counts))
        grown = np.zeros((classes, classes), "int64")
        grown[: len(counts), : len(counts)] = counts
        pairs = truth[kept].astype("int64") * classes + answers[kept]
        counts = grown + np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
        numbers_only = of_class is None
        if of_class is not None:
            sums -= float(np.log(np.maximum(of_class[kept], 1e-7)).sum())
    pixels, hits = int(counts.sum()), counts.diagonal()
    if not pixels:
        raise ValueError(f"No pixel of {data or 'these images'} has a label: all are {VOID}.")
    union = counts.sum(axis=0) + counts.sum(axis=1) - hits
    overlaps = [float(hit / both) if both else None for hit, both in zip(hits, union, strict=True)]
    names = list(class_names) if class_names is not None else []
    names += [str(i) for i in range(len(names), classes)]
    return MapEvaluation(
        images=start,
        pixels=pixels,
        classes=classes,
        pixel_accuracy=float(hits.sum() / pixels),
        mean_iou=float(np.mean([one for one in overlaps if one is not None])),
        loss=None if numbers_only else sums / pixels,
        per_class_iou={str(name): one for name, one in zip(names, overlaps, strict=True)},
        confusion=counts.tolist() if classes <= MATRIX_CLASSES else None,
        model=model,
        data=data,
    )


def _answers(outputs: np.ndarray, truth: np.ndarray, model: str, data: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Classes of the pixels, and the probability of the right one of each, where there are probabilities."""
    numbers = outputs.dtype.kind in "iub" or outputs.ndim == truth.ndim
    if outputs.shape[: truth.ndim] != truth.shape:
        raise ValueError(
            f"{model or 'The model'} gives maps of {outputs.shape[1:3]} (height, width); the labels of "
            f"{data or 'the data'} are {truth.shape[1:3]}."
        )
    if numbers and outputs.dtype.kind in "iub":
        return outputs.reshape(truth.shape).astype("int64"), None
    outputs = finite(outputs, model, data)
    if numbers or outputs.shape[-1] == 1:
        probability = sigmoids(outputs).reshape(truth.shape)
        return (probability > 0.5).astype("int64"), np.where(truth == 1, probability, 1 - probability)
    probabilities = softmaxes(outputs)
    chosen = np.where(truth == VOID, 0, truth)[..., None].astype("int64")
    return probabilities.argmax(axis=-1), np.take_along_axis(probabilities, chosen, axis=-1)[..., 0]
