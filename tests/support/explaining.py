"""Small networks that tests of several explanations share."""

import keras
from keras import layers

from support.models import randomise


def linear(classes=4, size=(8, 6)):
    """Convolution, global average, dense, softmax: here Grad-CAM is CAM, which a test can write out."""
    x = keras.Input((*size, 3), name="image")
    y = layers.Conv2D(5, 3, padding="same", activation="relu", name="maps")(x)
    y = layers.Dense(classes, name="logits")(layers.GlobalAveragePooling2D()(y))
    model = keras.Model(x, layers.Activation("softmax")(y))
    randomise(model)
    return model
