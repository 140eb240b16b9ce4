"""What several tests share."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import keras
import numpy as np


def trainable(model: Any) -> int:
    """Trainable parameters."""
    return sum(math.prod(w.shape) for w in model.trainable_weights)


def randomise(model: Any, seed: int = 0) -> None:
    """Random values for every weight: gates that start at zero make a block the identity, and prove nothing."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if "seed" in weight.path or not keras.backend.is_float_dtype(weight.dtype):
            continue
        fan_in = math.prod(weight.shape[:-1]) if len(weight.shape) > 1 else 1
        value = rng.standard_normal(weight.shape) / np.sqrt(fan_in)
        if "variance" in weight.path or "gamma" in weight.path:
            value = rng.uniform(0.5, 1.5, weight.shape)
        weight.assign(value.astype("float32"))


def pixels(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Random RGB pixels 0-255."""
    return np.random.default_rng(seed).uniform(0, 255, shape).astype("float32")


def largest_difference(a: Any, b: Any) -> float:
    """Over all outputs of two structures."""
    pairs = zip(keras.tree.flatten(a), keras.tree.flatten(b), strict=True)
    return max(float(np.max(np.abs(np.asarray(x) - np.asarray(y)))) for x, y in pairs)


def architectures() -> list[dict[str, str]]:
    """Rows of the published networks that have a call on `kattn.zoo`: call, params, macs, ..."""
    text = (Path(__file__).parent / "data" / "architectures.csv").read_text()
    return [row for row in csv.DictReader(text.splitlines()) if row["call"]]
