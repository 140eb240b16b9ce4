"""What every layer must do: the checks of `kattn.layers.check` as the two bodies that tests/layers hand to a test.

`check_basics`: shapes, seed, config, `.keras` file, gradients. `check_everywhere`: half precisions, XLA, and on
TensorFlow the exported files. Weights are randomised first, since a gate that starts at zero would prove nothing.
"""

from __future__ import annotations

from typing import Any

import hypothesis
import keras
import numpy as np

from kattn.layer_checks.checking import check
from kattn.layer_checks.checks import BASICS, EVERYWHERE
from kattn.layer_checks.running import as_model as as_model
from kattn.layer_checks.running import build as build
from kattn.layer_checks.running import copy_of as copy_of
from kattn.layer_checks.running import error as error
from kattn.layer_checks.running import of_one_image as of_one_image
from kattn.layer_checks.running import outputs_and_gradients as outputs_and_gradients
from kattn.layer_checks.running import randomise as randomise
from kattn.layer_checks.running import run as run
from kattn.layer_checks.running import shapes_of as shapes_of
from kattn.layer_checks.running import structure as structure

PROPERTY = hypothesis.settings(max_examples=10, deadline=None, derandomize=True)  # for the property-based tests


def check_basics(layer: keras.Layer, *inputs: np.ndarray, huge: float = 1e6, **_: Any) -> None:
    """Config, file, shapes, seed and gradients; see `kattn.layers.check` for `huge`."""
    check(layer, inputs, only=BASICS, huge=huge).require()


def check_everywhere(
    layer: keras.Layer, *inputs: np.ndarray, jit: bool = True, export: bool = True, huge: float = 0, **options: Any
) -> None:
    """Half precisions, XLA (unless `jit` is false) and exported files (`export`); see `kattn.layers.check`."""
    left_out = [*([] if jit else ["XLA"]), *([] if export else ["TFLite", "ONNX"])]
    check(layer, inputs, only=EVERYWHERE, leave_out=left_out, **options).require()


def image(*shape: int, seed: int = 0) -> np.ndarray:
    """Standard normal numbers."""
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def parameters(layer: keras.Layer) -> int:
    """Trainable parameters."""
    return sum(int(np.prod(w.shape)) for w in layer.trainable_weights)


def check_free_sizes(layer: keras.Layer, *inputs: np.ndarray) -> None:
    """The same numbers from a model of unknown height and width, on TensorFlow as a graph. Not in `check_layer`."""
    build(layer, *inputs)
    randomise(layer)
    want = run(layer, *inputs)
    shapes = [(None, None, x.shape[-1]) if x.ndim == 4 else x.shape[1:] for x in inputs]
    symbols = structure([keras.Input(shape) for shape in shapes])
    model = keras.Model(symbols, layer(symbols))
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        signature = structure([tf.TensorSpec((None, *shape)) for shape in shapes])
        outputs = tf.function(model, input_signature=[signature])(structure([tf.constant(x) for x in inputs]))
        got = [y.numpy().astype("float64") for y in keras.tree.flatten(outputs)]
    else:
        got = run(model, *inputs)
    found = error(got, want)
    assert found <= 1e-5, f"other numbers with unknown height and width: off by {found:.1e}"
