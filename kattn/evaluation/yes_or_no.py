"""How well a model of one unit answers yes or no."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from kattn.evaluation.metrics import accuracies, calibration_error, confusion_of, finite, sigmoids
from kattn.files import counted

THRESHOLD = 0.5


@dataclass(frozen=True)
class BinaryEvaluation:
    """How well a model of one sigmoid unit tells two classes.

    Attributes:
        images: Count.
        accuracy: Share of right answers; yes is a probability above `threshold`.
        roc_auc: Area under the ROC curve (scikit-learn's roc_auc_score): the chance that an image of the second class
            has a higher probability than one of the first. None where all images are of one class.
        loss: Mean binary cross-entropy in nats.
        calibration_error: As in Evaluation, of the answer given.
        per_class: Accuracy by class name; None for a class without images.
        confusion: confusion[i][j] images of class i were called j.
        threshold: Of the answer.
        model, data: What was evaluated on what.
    """

    images: int
    accuracy: float
    roc_auc: float | None
    loss: float
    calibration_error: float
    per_class: dict[str, float | None]
    confusion: list[list[int]]
    threshold: float = THRESHOLD
    model: str = ""
    data: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Everything, as JSON holds it."""
        return asdict(self)

    def __str__(self) -> str:
        area = "" if self.roc_auc is None else f", ROC AUC {self.roc_auc:.4f}"
        return (
            f"{self.model} on {counted(self.images, 'image')} of {self.data}: accuracy {self.accuracy:.2%}{area}, "
            f"loss {self.loss:.4f}, calibration error {self.calibration_error:.4f}"
        )


def measure_binary(
    outputs: np.ndarray, labels: np.ndarray, class_names: Any = None, *, model: str = "", data: str = ""
) -> BinaryEvaluation:
    """How well a model of one unit tells two classes.

    Args:
        outputs: Probabilities of the second class, (images,) or (images, 1); values outside 0 to 1 are logits.
        labels: 0 or 1, (images,).
        class_names: Of the two classes; None for "0" and "1".
        model, data: Names of what was evaluated on what.

    Returns: A BinaryEvaluation.
    Raises: ValueError for outputs that are not finite.
    """
    from sklearn.metrics import roc_auc_score

    probability = sigmoids(finite(outputs, model, data)).reshape(len(labels))
    labels = np.asarray(labels).reshape(len(labels)).astype(int)
    answers = (probability > THRESHOLD).astype(int)
    right = answers == labels
    of_truth = np.where(labels, probability, 1 - probability)
    return BinaryEvaluation(
        images=len(labels),
        accuracy=float(right.mean()),
        roc_auc=float(roc_auc_score(labels, probability)) if 0 < labels.sum() < len(labels) else None,
        loss=float(-np.log(np.maximum(of_truth, 1e-7)).mean()),
        calibration_error=calibration_error(np.maximum(probability, 1 - probability), right),
        per_class=accuracies(labels, right, list(class_names or ("0", "1"))[:2]),
        confusion=confusion_of(labels, answers, 2)["confusion"],
        model=model,
        data=data,
    )
