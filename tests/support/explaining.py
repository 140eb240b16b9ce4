"""Small networks that tests of several explanations share."""

import keras
import matplotlib.text
import numpy as np
from keras import layers

from kattn.layers import CBAM, AttentiveFeatureIntegration, SqueezeExcite
from support.models import randomise

IMAGES = np.random.default_rng(0).integers(0, 255, (23, 8, 8, 3)).astype("uint8")
LABELS = (np.arange(23) % 3).astype("int32")
DATA = (IMAGES, LABELS)
UNLUCKY = ("cost_$5_to_$10_%", r"$\badcmd{x}$", "\x1b[31mred", "caf\udce9", "</td><b>")  # names of classes


def linear(classes=4, size=(8, 6)):
    """Convolution, global average, dense, softmax: here Grad-CAM is CAM, which a test can write out."""
    x = keras.Input((*size, 3), name="image")
    y = layers.Conv2D(5, 3, padding="same", activation="relu", name="maps")(x)
    y = layers.Dense(classes, name="logits")(layers.GlobalAveragePooling2D()(y))
    model = keras.Model(x, layers.Activation("softmax")(y))
    randomise(model)
    return model


def gated():
    """A network with gates of channels and positions, for IMAGES."""
    x = keras.Input((8, 8, 3), name="image")
    y = layers.Rescaling(1 / 255)(x)
    y = layers.Conv2D(6, 3, activation="relu", name="first")(y)
    y = SqueezeExcite(reduction=2, name="se")(y)
    y = CBAM(reduction=2, name="cbam")(y)
    y = AttentiveFeatureIntegration(name="afi")([y, y * 0.5])
    y = layers.Conv2D(5, 3, name="last")(y)
    y = layers.Activation("relu", name="last_relu")(y)
    y = layers.Dense(3, name="logits")(layers.GlobalAveragePooling2D()(y))
    model = keras.Model(x, layers.Activation("softmax")(y), name="small")
    randomise(model, seed=2)
    return model


def maps_of(model, name):
    """What a layer gives for IMAGES."""
    return np.asarray(keras.Model(model.inputs[0], model.get_layer(name).output)(IMAGES.astype("float32")))


def in_0_1(heat):
    heat = np.maximum(heat, 0)
    top = heat.max((1, 2), keepdims=True)
    return heat / np.where(top > 0, top, 1)


def two_convolutions(fused=False):
    """Behind the explained maps stands a convolution: gradients differ from position to position."""
    x = keras.Input((9, 9, 3), name="image")
    y = layers.Conv2D(6, 3, activation="relu", name="first")(x)
    y = layers.Conv2D(4, 3, strides=2, activation="tanh")(y)
    y = layers.Flatten()(y)
    y = layers.Dense(3, activation="softmax", name="predictions")(y) if fused else layers.Dense(3)(y)
    model = keras.Model(x, y)
    randomise(model)
    return model


def around(layer, shape=(8, 12, 6)):
    """A classifier around one layer, or around a list of maps for AFI."""
    x = keras.Input(shape, name="image")
    y = layer(x) if not isinstance(layer, AttentiveFeatureIntegration) else layer([x, x * 2.0, x * x])
    y = layers.GlobalAveragePooling2D()(keras.tree.flatten(y)[0])
    model = keras.Model(x, layers.Dense(3)(y), name="around")
    randomise(model)
    return model


def texts(figure):
    """All that can be read in a figure."""
    figure.canvas.draw()
    return {text.get_text() for text in figure.findobj(matplotlib.text.Text)}


def classifier(classes=10):
    """A small network with a gate of positions, for the digits."""
    x = keras.Input((16, 16, 3), name="image")
    y = layers.Conv2D(8, 3, activation="relu", name="first")(layers.Rescaling(1 / 255)(x))
    y = CBAM(reduction=2, name="cbam")(y)
    y = layers.Conv2D(8, 3, strides=2, activation="relu", name="last")(y)
    y = layers.Dense(classes, name="logits")(layers.GlobalAveragePooling2D()(y))
    model = keras.Model(x, layers.Activation("softmax")(y), name="small")
    randomise(model)
    return model
