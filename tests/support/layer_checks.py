"""What every layer must do, as one shared body: `check_layer(layer, x)`, or `check_layer(layer, x0, x1)`.

It checks, on the backend that runs: the same numbers after a round trip through `get_config` and through a `.keras`
file; `compute_output_shape`; that a seed fixes the initial weights; float16 and bfloat16 finite and close to float32;
gradients finite on the given, constant, zero and huge inputs; the same outputs and gradients under XLA (not on torch,
whose compiler needs a C++ toolchain); and on TensorFlow conversion to TFLite (built-in operations, rank at most 4) and
to ONNX, both equal to the layer. Weights are randomised first, since a gate that starts at zero would prove nothing.
"""

from __future__ import annotations

import importlib
import inspect
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


def check_layer(
    layer: keras.Layer,
    *inputs: np.ndarray,
    half_tolerances: dict[str, float] | None = None,
    huge: float = 1e6,
    jit: bool = True,
    export: bool = True,
    export_tolerance: float = 1e-4,
) -> None:
    """All checks of this file.

    Args:
        layer: A new layer; it is built here.
        inputs: Float arrays with a batch of at least two, one an input of the layer.
        half_tolerances: Allowed error of half precision relative to 1 + max|y|; replaces entries of HALF_TOLERANCES.
        huge: Size of the inputs of the "huge" gradient check.
        jit: Whether the layer runs under XLA.
        export: Whether the layer exports with static shapes.
        export_tolerance: Allowed error of the exported files relative to 1 + max|y|.
    """
    build(layer, *inputs)
    check_seed(layer, *inputs)
    randomise(layer)
    check_config(layer, *inputs)
    check_saving(layer, *inputs)
    check_shapes(layer, *inputs)
    check_half_precision(layer, *inputs, tolerances=HALF_TOLERANCES | (half_tolerances or {}))
    check_gradients(layer, *inputs, huge=huge)
    if jit:
        check_jit(layer, *inputs)
    if export:
        check_export(layer, *inputs, tolerance=export_tolerance)


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


def check_export(layer: keras.Layer, *inputs: np.ndarray, tolerance: float = 1e-4) -> None:
    if keras.backend.backend() != "tensorflow":
        return
    want = run(layer, *inputs)
    for name, export in {"TFLite": run_tflite, "ONNX": run_onnx}.items():
        found = error(export(layer, *inputs), want)
        assert found <= tolerance, f"{name} is off by {found:.1e} (allowed {tolerance:.0e})"


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


def serving_function(layer: keras.Layer, *inputs: np.ndarray, batch: int | None) -> tuple[Any, Any, list[Any]]:
    """A model around the layer, a function of it with named outputs, and the function's signature."""
    import tensorflow as tf

    model = as_model(layer, *inputs, batch=batch)
    signature = [tf.TensorSpec((batch, *x.shape[1:]), "float32", name=f"input{i}") for i, x in enumerate(inputs)]

    def serve(*values: Any) -> dict[str, Any]:
        outputs = keras.tree.flatten(model(structure(values), training=False))
        return {f"output{i}": tf.identity(y) for i, y in enumerate(outputs)}

    return model, serve, signature


def run_tflite(layer: keras.Layer, *inputs: np.ndarray) -> list[np.ndarray]:
    """The outputs of the converted layer, sample by sample; fails on operations not TFLite's own or a rank over 4."""
    import tensorflow as tf
    from ai_edge_litert.interpreter import Interpreter

    model, serve, signature = serving_function(layer, *inputs, batch=1)
    with tempfile.TemporaryDirectory() as folder:
        archive = keras.export.ExportArchive()
        archive.track(model)
        archive.add_endpoint("serving_default", serve, input_signature=signature)
        archive.write_out(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        content = converter.convert()
    interpreter = Interpreter(model_content=content, num_threads=1)
    ranks = {d["name"]: len(d["shape"]) for d in interpreter.get_tensor_details()}
    assert max(ranks.values()) <= 4, f"TFLite tensors of a rank over 4: {[n for n, r in ranks.items() if r > 4]}"
    runner = interpreter.get_signature_runner("serving_default")
    samples = [runner(**{f"input{i}": x[n : n + 1] for i, x in enumerate(inputs)}) for n in range(inputs[0].shape[0])]
    names = sorted(samples[0], key=lambda name: int(name.removeprefix("output")))
    return [np.concatenate([s[name] for s in samples]).astype("float64") for name in names]


def run_onnx(layer: keras.Layer, *inputs: np.ndarray) -> list[np.ndarray]:
    """The outputs of the layer converted by tf2onnx with a free batch; fails on a rank over 4."""
    import onnx
    import onnxruntime
    import tensorflow as tf

    vars(np).setdefault("object", object)  # tf2onnx 1.17 reaches for a name that NumPy 2 has dropped
    tf2onnx = importlib.import_module("tf2onnx")
    _, serve, signature = serving_function(layer, *inputs, batch=None)
    proto, _ = tf2onnx.convert.from_function(tf.function(serve), signature, opset=17)
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "layer.onnx")
        onnx.save(proto, path)
        inferred = onnx.shape_inference.infer_shapes(proto).graph.value_info
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    over = [v.name for v in inferred if len(v.type.tensor_type.shape.dim) > 4]
    assert not over, f"ONNX tensors of a rank over 4: {over}"
    names = sorted((o.name for o in session.get_outputs()), key=lambda name: int(name.removeprefix("output")))
    outputs = session.run(names, {f"input{i}": x for i, x in enumerate(inputs)})
    return [np.asarray(y, "float64") for y in outputs]
