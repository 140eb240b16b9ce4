"""What the answers of a model say of the kind of an output."""

from __future__ import annotations

import numpy as np

from kattn.facts.description import CLASSES, INTEGERS, MAP, MEASURED, VALUES, Fact

SUMS = 1e-2  # how far sums of probabilities may be from 1: those of 8 bits are rounded


def kind_of_values(values: np.ndarray) -> Fact:
    """What some answers (images, ...) say of their kind: rows that add up to 1 are classes, integers are integers."""
    if values.dtype.kind in "iub":
        return Fact(INTEGERS, MEASURED, f"type {values.dtype}")
    several = values.ndim > 1 and values.shape[-1] > 1
    if several and np.isfinite(values).all() and values.min() >= 0 and np.abs(values.sum(-1) - 1).max() <= SUMS:
        return Fact(CLASSES if values.ndim == 2 else MAP, MEASURED, f"sums of 1 on {len(values)} images")
    return Fact(VALUES, MEASURED, f"no sums of 1 on {len(values)} images")
