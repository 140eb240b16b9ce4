"""What several tests of models share."""

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


def short(attention: str, backbone: Any, **options: Any) -> Any:
    """A network of few blocks: an attention by its name, with a backbone's row made for the test."""
    from kattn.zoo.attentions.table import ATTENTIONS
    from kattn.zoo.builder import make_builder

    return make_builder("short", ATTENTIONS[attention], backbone)(**options)


def architectures() -> list[dict[str, str]]:
    """Rows of the published networks that have a call on `kattn.zoo`: call, params, macs, ..."""
    text = (DATA / "architectures.csv").read_text()
    return [row for row in csv.DictReader(text.splitlines()) if row["call"]]


def assert_probabilities(model: Any, size: tuple[int, int], channels: int = 3) -> None:
    """The model maps random pixels to finite scores that sum to one, in each of its outputs."""
    for y in keras.tree.flatten(model(pixels((2, *size, channels)))):
        np.testing.assert_allclose(keras.ops.convert_to_numpy(y).sum(-1), 1, rtol=1e-4)


def layers_of(model: Any, kind: str) -> list[str]:
    """Names of the model's layers of a class, in order."""
    return [layer.name for layer in model.layers if type(layer).__name__ == kind]


def inputs_of(model: Any, name: str) -> list[str]:
    """Names of the layers whose outputs a layer takes."""
    return [x._keras_history.operation.name for x in keras.tree.flatten(model.get_layer(name).input)]


def integrated_maps(model: Any, name: str) -> list[tuple[int, ...]]:
    """(height, width, channels) of each map that an AFI module scores; several may lie side by side in one tensor."""
    layer = model.get_layer(f"{name}_integrate")
    maps = [tuple(x.shape[1:]) for x in keras.tree.flatten(layer.input)]
    return [(*size, layer.channels) for *size, channels in maps for _ in range(channels // layer.channels)]
