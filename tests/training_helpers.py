"""A network that trains in a second, and images that it can tell apart."""

import keras
import numpy as np


def tiny_model(size=8, channels=3, classes=10, dropout=0.1):
    """Raw pixels in, probabilities out, with everything that a resumed run has to get right."""
    inputs = keras.Input((size, size, channels))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Conv2D(8, 3, padding="same", use_bias=False)(x)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.8)(x))
    x = keras.layers.Conv2D(8, 3, strides=2, activation="relu")(x)
    x = keras.layers.Dropout(dropout)(x)
    x = keras.layers.Flatten()(x)
    return keras.Model(inputs, keras.layers.Dense(classes, activation="softmax", name="predictions")(x), name="tiny")


def two_output_model(size=8, classes=10, attention_map=False):
    """Shaped like an attention branch network: two classifications, and the map when asked for."""
    inputs = keras.Input((size, size, 3))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Conv2D(8, 3, strides=2, activation="relu")(x)
    seen = keras.layers.Conv2D(1, 1, activation="sigmoid")(x)
    attention = keras.layers.Dense(classes, activation="softmax")(keras.layers.Flatten()(x))
    answer = keras.layers.Dense(classes, activation="softmax")(keras.layers.Flatten()(x * seen))
    outputs = {"attention_predictions": attention, "predictions": answer}
    return keras.Model(inputs, outputs | ({"attention_map": seen} if attention_map else {}), name="two")


def arrays(count=60, size=8, channels=3, classes=3, seed=0):
    """Images whose brightness tells the class, and the number of each image in its first two pixels."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    images = rng.integers(0, 60, (count, size, size, channels)) + (labels * 60)[:, None, None, None]
    images[:, 0, 0, 0], images[:, 0, 1, 0] = np.arange(count) % 256, np.arange(count) // 256
    return images.astype("uint8"), labels.astype("int32")


def numbers(images):
    """The numbers that `arrays` wrote into images."""
    return images[:, 0, 0, 0].astype(int) + 256 * images[:, 0, 1, 0].astype(int)
