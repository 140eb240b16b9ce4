"""What several tests share."""

from __future__ import annotations

import csv
import math
from typing import Any

import keras
import numpy as np

from support import DATA


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
    numpy = keras.ops.convert_to_numpy
    return max(float(np.max(np.abs(numpy(x) - numpy(y)))) for x, y in pairs)


def architectures() -> list[dict[str, str]]:
    """Rows of the published networks that have a call on `kattn.zoo`: call, params, macs, ..."""
    text = (DATA / "architectures.csv").read_text()
    return [row for row in csv.DictReader(text.splitlines()) if row["call"]]


def rows_of(*backbones: str) -> list[dict[str, str]]:
    """The published networks with one of these backbones, plain or with a mechanism."""
    return [row for row in architectures() if row["call"].split("(")[0].endswith(backbones)]


def assert_published(row: dict[str, str]) -> None:
    """Parameters and MACs of the call are the published ones."""
    import kattn

    model = eval(f"kattn.zoo.{row['call']}", {"kattn": kattn})
    assert (trainable(model), kattn.profile(model).macs) == (int(row["params"]), int(row["macs"]))


def assert_probabilities(name: str, size: tuple[int, int] = (32, 32), **options: Any) -> Any:
    """The model maps random pixels to finite scores that sum to one; gives the model back."""
    import kattn

    model = kattn.zoo.create(name, input_shape=(*size, 3), classes=5, **options)
    for y in keras.tree.flatten(model(pixels((2, *size, 3)))):
        np.testing.assert_allclose(np.asarray(y).sum(-1), 1, rtol=1e-4)
    return model


def layers_of(model: Any, kind: str) -> list[str]:
    """Names of the model's layers of a class, in order."""
    return [layer.name for layer in model.layers if type(layer).__name__ == kind]


def integrated_maps(model: Any, name: str) -> list[tuple[int, ...]]:
    """(height, width, channels) of each map that an AFI module scores; several may lie side by side in one tensor."""
    layer = model.get_layer(f"{name}_integrate")
    maps = [tuple(x.shape[1:]) for x in keras.tree.flatten(layer.input)]
    return [(*size, layer.channels) for *size, channels in maps for _ in range(channels // layer.channels)]
