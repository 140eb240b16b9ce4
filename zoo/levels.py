"""Multi-level features of a zoo model, for detectors and segmentation."""

from __future__ import annotations

import re
from collections.abc import Iterable

import keras


def features(model: keras.Model, levels: Iterable[str] | None = None) -> keras.Model:
    """A model with the same input and weights whose outputs are the maps at the ends of the resolutions.

    Args:
        model: A zoo model, built or loaded, with or without its top.
        levels: Names such as ("C3", "C4", "C5"): level Ck has stride 2**k against the input. Default: all levels of
            the model (an ImageNet ResNet: C2 to C5; a CIFAR ResNet: C0 to C2).

    Returns: A functional model whose output is the dict {level: (batch, height, width, channels)}.
    Raises: ValueError for a level that the model does not have, or a model that is not of the zoo.
    """
    found = sorted(
        (layer.name for layer in model.layers if re.fullmatch(r"C\d+", layer.name)), key=lambda n: int(n[1:])
    )
    if not found:
        raise ValueError(f"model {model.name!r} has no marked levels: features() takes models of kattn.zoo.")
    wanted = list(found if levels is None else [levels] if isinstance(levels, str) else levels)
    if unknown := [level for level in wanted if level not in found]:
        raise ValueError(f"{model.name} has no level {', '.join(map(str, unknown))}. Levels: {', '.join(found)}.")
    outputs = {level: model.get_layer(level).output for level in wanted}
    inputs = model.inputs[0] if len(model.inputs) == 1 else model.inputs
    return keras.Model(inputs, outputs, name=f"{model.name}_features")
