"""A network as a function from a batch to numpy arrays, compiled where the backend compiles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np


def compiled(network: keras.Model) -> Callable[[np.ndarray], Any]:
    """The network's outputs for a batch of any size, in inference.

    On TensorFlow one graph serves all batch sizes; `predict` would make a function of its own for every network, and
    TensorFlow warn of their number.
    """
    if keras.backend.backend() != "tensorflow":
        return lambda batch: keras.tree.map_structure(np.asarray, network.predict_on_batch(batch))
    import tensorflow as tf

    image = network.inputs[0]
    spec = tf.TensorSpec((None, *image.shape[1:]), image.dtype)
    function = tf.function(lambda x: network(x, training=False), autograph=False).get_concrete_function(spec)

    def run(batch: np.ndarray) -> Any:
        return keras.tree.map_structure(lambda y: y.numpy(), function(tf.constant(batch, image.dtype)))

    return run
