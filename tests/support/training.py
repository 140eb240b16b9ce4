"""A network that trains in a second, images that it can tell apart, and processes that have no TensorFlow."""

import csv
import importlib.util
import json
import math
import subprocess
import sys

import keras
import numpy as np
from PIL import Image

from support import TESTS

BACKENDS = [name for name in ("jax", "torch") if importlib.util.find_spec(name)]  # beside TensorFlow

# Keras asks whether the name is in sys.modules, so it must not be there, not even as None.
REFUSE_TENSORFLOW = """
import os, sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "tensorflow":
            raise ModuleNotFoundError(f"No module named {name!r}")
sys.meta_path.insert(0, Refuse())
"""
WITHOUT_TENSORFLOW = f"""{REFUSE_TENSORFLOW}
os.environ["KERAS_BACKEND"], out = sys.argv[1:3]
os.environ["XLA_FLAGS"] = "--xla_backend_optimization_level=0"  # compiling is what takes the time in tests
sys.path.insert(0, sys.argv[3])
"""


def without_tensorflow(backend, out, code):
    """Run code on another backend, in a process that cannot import TensorFlow; `out` is a variable there."""
    command = [sys.executable, "-c", WITHOUT_TENSORFLOW + code, backend, str(out), str(TESTS)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return done


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


def image_folder(root, count=36, classes="abc"):
    """The images of `arrays` as files, one folder a class."""
    for number, (image, label) in enumerate(zip(*arrays(count, classes=len(classes)), strict=True)):
        folder = root / classes[label]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{number}.png")
    return root


# So few steps are not worth tracing and compiling: patched into keras.Model where whole commands are tried.
EAGER = property(lambda model: True, lambda model, value: None)


def try_recipe(name, data, out):
    """Train and evaluate by a committed recipe as the command line does, on a network and images of the least size."""
    from kattn.cli.main import main

    small = ["--set", "depths=(1, 1, 1)", "--set", "widths=(4, 4, 8)", "--set", "reduction=2"]
    short = ["--epochs", "1", "--batch-size", "8", "--limit", "16"]
    assert main(["train", "se_resnet20", "--data", str(data), "--recipe", name, "--out", str(out), *small, *short]) == 0
    config = json.loads((out / "config.json").read_text())
    assert config["recipe"]["name"] == name
    assert config["data"]["images"]["train"] == 16
    assert config["backend"] == keras.backend.backend()
    (row,) = csv.DictReader((out / "history.csv").read_text().splitlines())
    assert all(math.isfinite(float(row[column])) for column in ("loss", "accuracy", "val_loss", "learning_rate"))
    names = {"model.json", "model.keras", "best.weights.h5", "last.weights.h5", "metrics.json"}
    assert names <= {file.name for file in out.iterdir()}
    assert main(["evaluate", str(out), "--limit", "16"]) == 0
