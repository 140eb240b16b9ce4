"""A layer by itself: built, run, copied, differentiated on every backend, and as a model of its own."""

from __future__ import annotations

import inspect
import itertools
import json
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops


class CheckFailed(AssertionError):
    """What a layer should do and does not."""


def structure(values: Sequence[Any]) -> Any:
    """What a layer is called with: the one input itself, or the list of them."""
    return values[0] if len(values) == 1 else list(values)


def build(layer: keras.Layer, *inputs: np.ndarray) -> keras.Layer:
    """Create the weights of a layer for these inputs, if it has none yet."""
    if not layer.built:
        layer.build(structure([x.shape for x in inputs]))
        layer.built = True
    return layer


def run(layer: keras.Layer, *inputs: np.ndarray, **options: Any) -> list[np.ndarray]:
    """The outputs in float64, flattened to a list."""
    outputs = keras.tree.flatten(layer(structure([ops.convert_to_tensor(x) for x in inputs]), **options))
    return [np.asarray(ops.convert_to_numpy(ops.cast(y, "float32")), "float64") for y in outputs]


def randomise(layer: keras.Layer, seed: int = 0, scale: float = 0.2) -> None:
    """Add noise to every weight that is nearly constant (gates, biases, statistics): no block stays an identity."""
    rng = np.random.default_rng(seed)
    for variable in layer.weights:
        value = np.asarray(ops.convert_to_numpy(variable.value), "float32")
        if not keras.backend.is_float_dtype(variable.dtype) or (value.size > 1 and np.std(value) > 0.05):
            continue
        noise = rng.normal(0, scale, value.shape)
        variable.assign(np.exp(noise) if "variance" in variable.path else value + noise)


def error(got: Sequence[np.ndarray], want: Sequence[np.ndarray]) -> float:
    """Largest |a - b| / (1 + max|b|) over the outputs; infinite where shapes differ or a number is not finite."""
    if [g.shape for g in got] != [w.shape for w in want]:
        raise CheckFailed(f"shapes {[g.shape for g in got]} instead of {[w.shape for w in want]}")
    errors = [np.max(np.abs(g - w)) / (1 + np.max(np.abs(w))) for g, w in zip(got, want, strict=True)]
    return float(max(e if np.isfinite(e) else np.inf for e in errors))


def copy_of(layer: keras.Layer, *inputs: np.ndarray, dtype: str | None = None) -> keras.Layer:
    """A layer made from the layer's config, with its weights."""
    config = json.loads(json.dumps(layer.get_config())) | ({"dtype": dtype} if dtype else {})
    copy = build(type(layer).from_config(config), *inputs)
    copy.set_weights(layer.get_weights())
    return copy


def as_model(layer: keras.Layer, *inputs: np.ndarray, batch: int | None = None) -> keras.Model:
    """A functional model of static spatial shapes around the layer."""
    symbols = [keras.Input(x.shape[1:], batch_size=batch, name=f"input{i}") for i, x in enumerate(inputs)]
    return keras.Model(structure(symbols), layer(structure(symbols)))


def of_one_image(layer: keras.Layer, *inputs: np.ndarray) -> keras.Model:
    """A model that takes all inputs of the layer as one row of numbers, as exporters take one image."""
    sizes = [int(np.prod(x.shape[1:])) for x in inputs]
    row = keras.Input((1, sum(sizes), 1))
    borders = [(int(a), int(sum(sizes) - b)) for a, b in itertools.pairwise(np.cumsum([0, *sizes]))]
    parts = [keras.layers.Cropping2D(((0, 0), border))(row) if any(border) else row for border in borders]
    shaped = [keras.layers.Reshape(x.shape[1:])(part) for part, x in zip(parts, inputs, strict=True)]
    outputs = keras.tree.flatten(layer(structure(shaped)))
    named = {f"output{i}": keras.layers.Identity(name=f"output{i}")(y) for i, y in enumerate(outputs)}
    return keras.Model(row, named)


def shapes_of(nested: Any) -> list[tuple[int | None, ...]]:
    """The shapes in a nest of lists and tuples."""
    if all(n is None or isinstance(n, int) for n in nested):
        return [tuple(nested)]
    return [shape for part in nested for shape in shapes_of(part)]


def promised_shapes(layer: keras.Layer, *inputs: np.ndarray) -> list[tuple[Any, ...]]:
    """The shapes that a layer says its outputs have: by its own function, else by what Keras works out."""
    if type(layer).compute_output_shape is not keras.Layer.compute_output_shape:
        return shapes_of(layer.compute_output_shape(structure([x.shape for x in inputs])))
    symbols = [keras.KerasTensor(x.shape, "float32") for x in inputs]
    return [tuple(y.shape) for y in keras.tree.flatten(layer(structure(symbols)))]


def outputs_and_gradients(
    layer: keras.Layer, *inputs: np.ndarray, training: bool = True, jit: bool = False
) -> list[np.ndarray]:
    """Outputs, then the gradients of a weighted sum of them by the inputs and the trainable weights."""
    rng = np.random.default_rng(3)
    shapes = promised_shapes(layer, *inputs)
    weights = [rng.uniform(-1, 1, s).astype("float32") / np.float32(np.prod(s) ** 0.5) for s in shapes]
    given = [ops.convert_to_tensor(x) for x in inputs]
    options = {"training": training} if "training" in inspect.signature(layer.call).parameters else {}

    def scored(outputs: Any) -> Any:
        return sum(ops.sum(y * ops.cast(w, y.dtype)) for y, w in zip(keras.tree.flatten(outputs), weights, strict=True))

    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        def step(values: list[Any]) -> Any:
            variables = [v.value for v in layer.trainable_variables]
            with tf.GradientTape() as tape:
                tape.watch(values)
                outputs = layer(structure(values), **options)
                loss = scored(outputs)
            zero = tf.UnconnectedGradients.ZERO
            return keras.tree.flatten(outputs), tape.gradient(loss, [*values, *variables], unconnected_gradients=zero)

        outputs, gradients = (tf.function(step, jit_compile=True) if jit else step)(given)
        gradients = [tf.convert_to_tensor(g) for g in gradients]
    elif backend == "jax":
        import jax

        def loss_of(values: list[Any], variables: list[Any]) -> Any:
            fixed = [v.value for v in layer.non_trainable_variables]
            outputs, _ = layer.stateless_call(variables, fixed, structure(values), **options)
            return scored(outputs), keras.tree.flatten(outputs)

        step = jax.grad(loss_of, argnums=(0, 1), has_aux=True)
        found, outputs = (jax.jit(step) if jit else step)(given, [v.value for v in layer.trainable_variables])
        gradients = [*found[0], *found[1]]
    else:
        import torch

        given = [x.detach().requires_grad_(True) for x in given]
        sources = [*given, *(v.value for v in layer.trainable_variables)]
        with torch.enable_grad():
            outputs = keras.tree.flatten(layer(structure(given), **options))
            gradients = torch.autograd.grad(scored(outputs), sources, allow_unused=True)
        gradients = [torch.zeros_like(s) if g is None else g for s, g in zip(sources, gradients, strict=True)]
    return [np.asarray(ops.convert_to_numpy(v), "float64") for v in [*outputs, *gradients]]
