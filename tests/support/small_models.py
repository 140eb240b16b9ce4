"""A small network with a gate, and the images it is about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from kattn.layers import SqueezeExcite
from support import colours
from support.models import randomise

SIZE = 16
COLOURS = (220, 40, 40), (40, 220, 40), (40, 40, 220), (200, 200, 40), (60, 60, 60)
CLASSES = len(COLOURS)


def build(head: Callable[[Any, Any], Any] | None = None, *, convolution: Any = None, policy: str | None = None) -> Any:
    """Two convolutions, one of them gated; `head` makes the outputs from the last map and the predictions."""
    before = keras.config.dtype_policy()
    if policy:
        keras.config.set_dtype_policy(policy)
    try:
        image = keras.Input((SIZE, SIZE, 3))
        x = keras.layers.Rescaling(1 / 127.5, -1, name="normalise")(image)
        x = keras.layers.Conv2D(8, 3, padding="same", use_bias=False, name="conv1")(x)
        x = keras.layers.ReLU(name="relu1")(keras.layers.BatchNormalization(name="bn1")(x))
        convolution = convolution or keras.layers.Conv2D(8, 3, strides=2, padding="same", name="conv2")
        x = SqueezeExcite(2, name="gate")(convolution(x))
        pooled = keras.layers.GlobalAveragePooling2D(name="pool")(x)
        predictions = keras.layers.Dense(CLASSES, activation="softmax", name="classify", dtype="float32")(pooled)
        model = keras.Model(image, head(x, predictions) if head else predictions, name="small")
    finally:
        keras.config.set_dtype_policy(before)
    randomise(model, seed=1)
    return model


def coloured(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Images of the network's size and classes (`support.colours`)."""
    return colours.coloured(count, seed, colours=COLOURS, noise=40, size=SIZE)


def train(model: Any) -> Any:
    """Teach a model the colours: its predictions then differ from image to image by more than quantisation does."""
    images, classes = coloured(320)
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    model.fit(images.astype("float32"), classes, batch_size=32, epochs=6, verbose=0)
    return model


def two_outputs(x: Any, predictions: Any) -> dict[str, Any]:
    """Predictions and the map they come from."""
    return {"predictions": predictions, "attention_map": keras.layers.Conv2D(1, 1, name="map")(x)}
