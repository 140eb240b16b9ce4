"""The value range of a model's input, as far as its first layers do arithmetic that says so."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from kattn.facts.description import MEASURED, MODEL, UNKNOWN, ZOO, Fact
from kattn.facts.stated import BYTES
from kattn.graph.calls import Call
from kattn.graph.flow import Flow

Affine = tuple[np.ndarray, np.ndarray]  # v = a x + b, one number or one a channel

L = keras.layers
# The three ranges that images are commonly given in. A layer that takes one of them to another says which it takes:
# no two of these six steps are the same.
COMMON = (BYTES, (0.0, 1.0), (-1.0, 1.0))
# Means and deviations of ImageNet's channels, of images in 0 to 1, as torch and Keras have them; Caffe's are of pixels
# and are subtracted only.
IMAGENET = (np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225]))
CAFFE = np.array([103.939, 116.779, 123.68])
CLOSE = 1e-3
NORMALISE = "normalise"  # the zoo's first layer; see kattn.zoo.inputs
# Layers that move or leave out values, or change them in training only.
MOVING = (
    *(L.Identity, L.Dropout, L.SpatialDropout2D, L.GaussianNoise, L.GaussianDropout, L.Reshape, L.Permute),
    *(L.Resizing, L.CenterCrop, L.Cropping2D, L.ZeroPadding2D, L.UpSampling2D, L.AveragePooling2D, L.MaxPooling2D),
    *(layer for name, layer in vars(L).items() if name.startswith("Random")),
    *(L.MixUp, L.CutMix, L.AugMix),
)
MOVING_OPERATIONS = ("Cast", "GetItem", "Flip", "Transpose", "Identity", "StopGradient")


def value_range_of(flow: Flow, tensor: Any) -> tuple[Fact, tuple[float, float] | None]:
    """What an input's values are, by the arithmetic of the layers that it goes through first.

    An input of bytes takes 0 to 255. Layers that take one of the ranges that images are given in (0 to 255, 0 to 1,
    -1 to 1) to another, or that subtract ImageNet's means, say which range that is; augmentation in front of them does
    not matter. The zoo's own normalisation takes 0 to 255. A Normalization that was adapted says nothing: its numbers
    are those of the data, whatever these were.

    Args:
        flow: The model's graph.
        tensor: One of its inputs.

    Returns: The range, where it is known; and a range that the first layers bring to about -1 to 1, for images that
        are made up.
    """
    if str(tensor.dtype) == "uint8":
        return Fact(BYTES, MODEL, "type uint8"), BYTES
    a, b = np.ones(1), np.zeros(1)
    moved = False
    for call in flow.chain(tensor):
        if _is_zoos(call) and (found := _solved(a, b, BYTES)):
            return Fact(found, ZOO, f"layer {call.name!r}"), found
        step = _step(call)
        if step is None:
            break
        a, b = step[0] * a, step[0] * b + step[1]
        moved = moved or not (np.allclose(a, 1) and np.allclose(b, 0))
        if found := _said(a, b):
            return Fact(found, MEASURED, f"the arithmetic up to {call.name!r}"), found
    return UNKNOWN, _solved(a.mean(), b.mean(), (0.0, 1.0) if not b.any() else (-1.0, 1.0)) if moved else None


def _said(a: np.ndarray, b: np.ndarray) -> tuple[float, float] | None:
    """The common range that a x + b takes to another one, or to ImageNet's unit variance."""
    mean, deviation = IMAGENET
    for low, high in COMMON:
        for target in COMMON:
            if target != (low, high) and _equal(a * low + b, target[0]) and _equal(a * high + b, target[1]):
                return low, high
        if _equal(a * low + b, -mean / deviation) and _equal(a * high + b, (1 - mean) / deviation):
            return low, high
    return BYTES if _equal(a, 1) and any(_equal(b, -one) for one in (CAFFE, CAFFE[::-1])) else None


def _equal(found: np.ndarray, wanted: Any) -> bool:
    return np.shape(wanted) in ((), np.shape(found)) and np.allclose(found, wanted, rtol=CLOSE, atol=CLOSE)


def _solved(a: Any, b: Any, wanted: tuple[float, float]) -> tuple[float, float] | None:
    """The least and the largest x for which a x + b is as wanted, where that is the same in all channels."""
    if not np.all(a):
        return None
    ends = [(end - b) / a for end in wanted]
    if any(np.ptp(end) > CLOSE * max(1, float(np.abs(end).max())) for end in ends):
        return None
    low, high = sorted(float(np.mean(end)) for end in ends)
    return low, high


def _is_zoos(call: Call) -> bool:
    """Whether a call is of the zoo's normalisation: its layer has this name, and a mean and deviation a channel."""
    layer = call.layer
    if not isinstance(layer, L.Rescaling) or layer.name != NORMALISE or np.ndim(layer.scale) != 1:
        return False
    scale, offset = 255 * np.asarray(layer.scale, float), np.asarray(layer.offset, float)
    return bool((scale >= 1).all() and (scale <= 100).all() and (offset <= 0).all() and (-offset <= scale).all())


def _step(call: Call) -> Affine | None:
    """What a call does to values, where that is a x + b; None for anything else."""
    layer = call.layer
    if isinstance(layer, L.Rescaling):
        return _channels(layer.scale), _channels(layer.offset)
    if isinstance(layer, L.Normalization):
        return _of_normalization(layer, call.inputs[0].shape[-1])
    if isinstance(layer, keras.Layer):
        return (np.ones(1), np.zeros(1)) if isinstance(layer, MOVING) else None
    name = type(layer).__name__
    if name in MOVING_OPERATIONS:
        same = name in ("Cast", "Identity", "StopGradient") or call.inputs[0].shape == call.results[0].shape
        return (np.ones(1), np.zeros(1)) if same else None
    return _of_operation(name, [*call.args, *call.kwargs.values()], call.inputs[0].shape[-1])


def _of_operation(name: str, arguments: Iterable[Any], channels: int | None) -> Affine | None:
    given = list(arguments)
    constants = [i for i, one in enumerate(given) if not isinstance(one, keras.KerasTensor)]
    if len(given) != 2 or len(constants) != 1:
        return None
    try:
        c = _channels(keras.ops.convert_to_numpy(given[constants[0]]))
    except (TypeError, ValueError):
        return None
    if len(c) not in (1, channels):
        return None
    first, one, none = constants[0] == 0, np.ones(1), np.zeros(1)
    steps: dict[str, Affine | None] = {
        "Add": (one, c),
        "Subtract": (-one, c) if first else (one, -c),
        "Multiply": (c, none),
        "Negative": (-one, none),
    }
    if name in ("Divide", "TrueDivide"):
        return None if first or not c.all() else (1 / c, none)
    return steps.get(name)


def _of_normalization(layer: Any, channels: int | None) -> Affine | None:
    if layer.mean is None:
        return None
    mean, variance = (_channels(keras.ops.convert_to_numpy(one)) for one in (layer.mean, layer.variance))
    if len(mean) not in (1, channels):
        return None
    deviation = np.maximum(np.sqrt(variance), keras.config.epsilon())
    return (deviation, mean) if layer.invert else (1 / deviation, -mean / deviation)


def _channels(value: Any) -> np.ndarray:
    """A number, or one a channel, as a vector."""
    return np.asarray(value, "float64").reshape(-1)
