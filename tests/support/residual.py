"""A residual network of plain Keras layers, and what was added to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers


def resnet(
    widths: Sequence[int] = (8, 16, 32), blocks: int = 2, size: tuple[int | None, ...] = (16, 16), name: str = "small"
) -> Any:
    """A stem, as many residual blocks in each stage, and five classes; every stage but the first halves the map."""
    x = image = keras.Input((*size, 3), name="image")
    x = _conv_bn(x, widths[0], "stem")
    for stage, filters in enumerate(widths):
        for number in range(1, blocks + 1):
            x = _block(x, filters, f"stage{stage + 1}_block{number}", 2 if stage and number == 1 else 1)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(image, layers.Dense(5, "softmax", name="predictions")(x), name=name)


def added(new: Any, old: Any) -> list[Any]:
    """The layers of a model whose names another model does not have."""
    known = {layer.name for layer in old.layers}
    return [layer for layer in new.layers if layer.name not in known]


def _conv_bn(x: Any, filters: int, name: str, strides: int = 1, size: int = 3, activation: bool = True) -> Any:
    x = layers.Conv2D(filters, size, strides, "same", use_bias=False, name=name)(x)
    x = layers.BatchNormalization(name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_relu")(x) if activation else x


def _block(x: Any, filters: int, name: str, strides: int = 1) -> Any:
    y = _conv_bn(x, filters, f"{name}_conv1", strides)
    y = _conv_bn(y, filters, f"{name}_conv2", activation=False)
    if strides > 1 or x.shape[-1] != filters:
        x = _conv_bn(x, filters, f"{name}_shortcut", strides, 1, activation=False)
    return layers.ReLU(name=f"{name}_out")(layers.Add(name=f"{name}_add")([x, y]))
