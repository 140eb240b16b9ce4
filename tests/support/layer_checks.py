"""What every layer must do, as two shared bodies that the fixture `check_layer` of tests/layers hands to a test.

`check_basics`: the same numbers after a round trip through `get_config` and through a `.keras` file;
`compute_output_shape`; that a seed fixes the initial weights; gradients finite on the given, constant, zero and huge
inputs. `check_everywhere`: float16 and bfloat16 finite and close to float32; the same outputs and gradients under XLA
(not on torch, whose compiler needs a C++ toolchain); and on TensorFlow `kattn.export.tflite` and `kattn.export.onnx`,
whose checks a file has to pass. Weights are randomised first, since a gate that starts at zero would prove nothing.
"""

from __future__ import annotations

import inspect
import itertools
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hypothesis
import keras
import numpy as np
from keras import ops

PROPERTY = hypothesis.settings(max_examples=10, deadline=None, derandomize=True)  # for the property-based tests
HALF_TOLERANCES = {"mixed_float16": 1e-2, "mixed_bfloat16": 8e-2}


def check_basics(layer: keras.Layer, *inputs: np.ndarray, huge: float = 1e6, **_: Any) -> None:
    """Config, file, shapes, seed and gradients.

    Args:
        layer: A new layer; it is built here.
        inputs: Float arrays with a batch of at least two, one an input of the layer.
        huge: Size of the inputs of the "huge" gradient check.
    """
    build(layer, *inputs)
    check_seed(layer, *inputs)
    randomise(layer)
    check_config(layer, *inputs)
    check_saving(layer, *inputs)
    check_shapes(layer, *inputs)
    check_gradients(layer, *inputs, huge=huge)


def check_everywhere(
    layer: keras.Layer,
    *inputs: np.ndarray,
    half_tolerances: dict[str, float] | None = None,
    jit: bool = True,
    export: bool = True,
    export_tolerance: float = 1e-4,
    allow: Sequence[str] = (),
    **_: Any,
) -> None:
    """Half precisions, XLA and exported files.

    Args:
        layer, inputs: As in `check_basics`.
        half_tolerances: Allowed error of half precision relative to 1 + max|y|; replaces entries of HALF_TOLERANCES.
        jit: Whether the layer runs under XLA.
        export: Whether the layer exports with static shapes.
        export_tolerance: Allowed error of the exported files relative to 1 + max|y|.
        allow: Operators that the exporters would refuse.
    """
    build(layer, *inputs)
    randomise(layer)
    check_half_precision(layer, *inputs, tolerances=HALF_TOLERANCES | (half_tolerances or {}))
    if jit:
        check_jit(layer, *inputs)
    if export:
        check_export(layer, *inputs, tolerance=export_tolerance, allow=allow)


# ---------------------------------------------------------------- running a layer


def image(*shape: int, seed: int = 0) -> np.ndarray:
    """Standard normal numbers."""
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def parameters(layer: keras.Layer) -> int:
    """Trainable parameters."""
    return sum(int(np.prod(w.shape)) for w in layer.trainable_weights)


def structure(values: Sequence[Any]) -> Any:
    """What a layer is called with: the one input itself, or the list of them."""
    return values[0] if len(values) == 1 else list(values)


def build(layer: keras.Layer, *inputs: np.ndarray) -> keras.Layer:
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
    assert [g.shape for g in got] == [w.shape for w in want], (
        f"shapes {[g.shape for g in got]} instead of {[w.shape for w in want]}"
    )
    errors = [np.max(np.abs(g - w)) / (1 + np.max(np.abs(w))) for g, w in zip(got, want, strict=True)]
    return float(max(e if np.isfinite(e) else np.inf for e in errors))


def copy_of(layer: keras.Layer, *inputs: np.ndarray, dtype: str | None = None) -> keras.Layer:
    """A layer made from the layer's config, with its weights."""
    config = json.loads(json.dumps(layer.get_config())) | ({"dtype": dtype} if dtype else {})
    copy = build(type(layer).from_config(config), *inputs)
    copy.set_weights(layer.get_weights())
    return copy


# ---------------------------------------------------------------- the checks


def check_seed(layer: keras.Layer, *inputs: np.ndarray) -> None:
    weights = []
    for _ in range(2):
        keras.utils.set_random_seed(7)
        weights.append(build(type(layer).from_config(layer.get_config()), *inputs).get_weights())
    assert all(np.array_equal(a, b) for a, b in zip(*weights, strict=True)), "a seed does not fix the weights"


def check_config(layer: keras.Layer, *inputs: np.ndarray) -> None:
    copy = copy_of(layer, *inputs)
    assert copy.get_config() == layer.get_config(), "get_config changes in a round trip"
    assert error(run(copy, *inputs), run(layer, *inputs)) < 1e-6, "another output after a round trip through get_config"


def check_saving(layer: keras.Layer, *inputs: np.ndarray) -> None:
    model = as_model(layer, *inputs)
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/model.keras"
        model.save(path)
        loaded = keras.saving.load_model(path)
    assert error(run(loaded, *inputs), run(layer, *inputs)) < 1e-6, "another output after saving and loading"


def check_shapes(layer: keras.Layer, *inputs: np.ndarray) -> None:
    outputs = run(layer, *inputs)
    promised = shapes_of(layer.compute_output_shape(structure([x.shape for x in inputs])))
    assert promised == [y.shape for y in outputs], f"compute_output_shape says {promised}"
    symbolic = keras.tree.flatten(layer(structure([keras.Input(x.shape[1:]) for x in inputs])))
    assert [tuple(s.shape)[1:] for s in symbolic] == [y.shape[1:] for y in outputs], "wrong shape in a functional model"


def check_half_precision(layer: keras.Layer, *inputs: np.ndarray, tolerances: dict[str, float] | None = None) -> None:
    want = run(layer, *inputs)
    for policy, allowed in (tolerances or HALF_TOLERANCES).items():
        found = error(run(copy_of(layer, *inputs, dtype=policy), *inputs), want)
        assert found <= allowed, f"{policy} is off by {found:.1e} (allowed {allowed:.0e})"


def check_gradients(layer: keras.Layer, *inputs: np.ndarray, huge: float = 1e6) -> None:
    cases = {
        "the given": inputs,
        "constant": [np.ones_like(x) for x in inputs],
        "zero": [np.zeros_like(x) for x in inputs],
        "huge": [x * np.float32(huge) for x in inputs],
    }
    copy = copy_of(layer, *inputs)  # training moves the statistics
    for case, values in cases.items():
        finite = all(np.all(np.isfinite(v)) for v in outputs_and_gradients(copy, *values))
        assert finite, f"outputs or gradients that are not finite on {case} inputs"


def check_jit(layer: keras.Layer, *inputs: np.ndarray, tolerance: float = 1e-4) -> None:
    if keras.backend.backend() == "torch":
        return
    want = outputs_and_gradients(layer, *inputs, training=False)
    got = outputs_and_gradients(layer, *inputs, training=False, jit=True)
    found = error(got, want)
    assert found <= tolerance, f"XLA gives other outputs or gradients: off by {found:.1e}"


def check_export(layer: keras.Layer, *inputs: np.ndarray, tolerance: float = 1e-4, allow: Sequence[str] = ()) -> None:
    """TFLite and ONNX files of the layer, each refused by kattn's exporters unless it computes what the layer does."""
    if keras.backend.backend() != "tensorflow":
        return
    from kattn.export import load, onnx, tflite

    build(layer, *inputs)
    images = np.concatenate([x.reshape(len(x), 1, -1, 1) for x in inputs], axis=2)
    model = of_one_image(layer, *inputs)
    want = run(layer, *inputs)
    with tempfile.TemporaryDirectory() as folder:
        for export, suffix in ((tflite, "tflite"), (onnx, "onnx")):
            path = Path(folder) / f"layer.{suffix}"
            export(model, path, images=images, tolerance=tolerance, outputs="all", allow=allow)
            got = load(path)(images)
            found = error([np.asarray(got[f"output{i}"], "float64") for i in range(len(want))], want)
            assert found <= tolerance, f"{suffix} is off by {found:.1e} (allowed {tolerance:.0e})"


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


# ---------------------------------------------------------------- pieces


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


def outputs_and_gradients(
    layer: keras.Layer, *inputs: np.ndarray, training: bool = True, jit: bool = False
) -> list[np.ndarray]:
    """Outputs, then the gradients of a weighted sum of them by the inputs and the trainable weights."""
    rng = np.random.default_rng(3)
    shapes = shapes_of(layer.compute_output_shape(structure([x.shape for x in inputs])))
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
