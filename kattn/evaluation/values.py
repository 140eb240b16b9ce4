"""How far the values of a regression are from the right ones."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from kattn.evaluation.metrics import finite
from kattn.files import counted


@dataclass(frozen=True)
class ValueEvaluation:
    """How far a model's values are from the right ones.

    Attributes:
        images, values: Counts; values are those of one image, or of one pixel of it.
        mae: Mean absolute error.
        rmse: Root of the mean square error.
        r2: Share of the variance that is explained, the mean over the values; 0 for a model that always gives the mean,
            negative for a worse one. None where the right values are all the same.
        per_value: The three by name of the value.
        model, data: What was evaluated on what.
    """

    images: int
    values: int
    mae: float
    rmse: float
    r2: float | None
    per_value: dict[str, dict[str, float | None]]
    model: str = ""
    data: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Everything, as JSON holds it."""
        return asdict(self)

    def __str__(self) -> str:
        explained = "" if self.r2 is None else f", R2 {self.r2:.4f}"
        return (
            f"{self.model} on {counted(self.images, 'image')} of {self.data}: mean absolute error {self.mae:.4g}, "
            f"root mean square error {self.rmse:.4g}{explained}"
        )


def measure_values(
    outputs: np.ndarray, targets: np.ndarray, names: Any = None, *, model: str = "", data: str = ""
) -> ValueEvaluation:
    """How far a model's values are from the right ones.

    Args:
        outputs: (images, values), (images,), or maps (images, height, width, values).
        targets: The right values, in the same shape; a last axis of 1 may be missing.
        names: Of the values; None for their numbers.
        model, data: Names of what was evaluated on what.

    Returns: A ValueEvaluation.
    Raises: ValueError for outputs that are not finite or of another shape.
    """
    outputs, targets = finite(outputs, model, data), np.asarray(targets, "float64")
    if outputs.ndim == 1:
        outputs = outputs[:, None]
    if targets.ndim == outputs.ndim - 1 and outputs.shape[-1] == 1:
        targets = targets[..., None]
    if targets.shape != outputs.shape:
        raise ValueError(
            f"{model or 'The model'} gives values of shape {outputs.shape[1:]} for an image; "
            f"{data or 'the data'} have {targets.shape[1:]}."
        )
    values = outputs.shape[-1]
    count, outputs, targets = len(outputs), outputs.reshape(-1, values), targets.reshape(-1, values)
    errors, variance = outputs - targets, targets.var(axis=0)
    squares = np.square(errors).mean(axis=0)
    absolute = np.abs(errors).mean(axis=0)
    explained = [
        float(1 - square / spread) if spread > 0 else None for square, spread in zip(squares, variance, strict=True)
    ]
    known = [one for one in explained if one is not None]
    named = list(names)[:values] if names is not None and len(names) >= values else range(values)
    return ValueEvaluation(
        images=count,
        values=values,
        mae=float(absolute.mean()),
        rmse=float(np.sqrt(squares.mean())),
        r2=float(np.mean(known)) if known else None,
        per_value={
            str(name): {"mae": float(absolute[i]), "rmse": float(np.sqrt(squares[i])), "r2": explained[i]}
            for i, name in enumerate(named)
        },
        model=model,
        data=data,
    )
