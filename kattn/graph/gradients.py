"""Gradients on the backend that runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras


def gradient_of(function: Callable[[Any], Any], x: Any) -> Any:
    """Gradient of a scalar function of one tensor.

    Raises: ValueError on a backend without gradients.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
        return tape.gradient(y, x)
    if backend == "jax":
        import jax

        return jax.grad(function)(x)
    if backend == "torch":
        x = x.detach().requires_grad_(True)
        function(x).backward()
        return x.grad
    raise ValueError(f"gradients need the TensorFlow, JAX or torch backend. Received: {backend}")
