"""The checks, each on a built layer with random weights and its inputs. Each raises, or says in words what it found."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kattn.export.errors import ExportError
from kattn.export.formats import FORMATS, load
from kattn.layer_checks.running import (
    CheckFailed,
    as_model,
    build,
    copy_of,
    error,
    of_one_image,
    outputs_and_gradients,
    promised_shapes,
    run,
    structure,
)

HALF_TOLERANCES = {"mixed_float16": 1e-2, "mixed_bfloat16": 8e-2}
SAME = 1e-6  # the same computation again


class Skipped(Exception):
    """A check that does not apply, and why."""


@dataclass(frozen=True)
class Subject:
    """What is checked, and how strictly; errors are relative to 1 + max|y|.

    Attributes:
        layer: Built, with random weights.
        inputs: Arrays with a batch of at least two, one an input of the layer.
        huge: What inputs are multiplied by to be huge.
        half_tolerances: By the name of a precision.
        export_tolerance: Of exported files.
        allow: Operators that the exporters would refuse.
    """

    layer: keras.Layer
    inputs: tuple[np.ndarray, ...]
    huge: float = 1e6
    half_tolerances: Mapping[str, float] = field(default_factory=dict)
    export_tolerance: float = 1e-4
    allow: Sequence[str] = ()


def check_shapes(subject: Subject) -> str:
    """`compute_output_shape`, a functional model and the values agree."""
    layer, inputs = subject.layer, subject.inputs
    outputs = run(layer, *inputs)
    promised = promised_shapes(layer, *inputs)
    if promised != [y.shape for y in outputs]:
        raise CheckFailed(f"it promises {promised}, the outputs have {[y.shape for y in outputs]}")
    symbolic = keras.tree.flatten(layer(structure([keras.Input(x.shape[1:]) for x in inputs])))
    if [tuple(s.shape)[1:] for s in symbolic] != [y.shape[1:] for y in outputs]:
        raise CheckFailed(f"in a functional model it gives {[tuple(s.shape) for s in symbolic]}")
    given = ", ".join(str(x.shape) for x in inputs)
    return f"{given} to {', '.join(str(y.shape) for y in outputs)}"


def check_site(subject: Subject) -> str:
    """One map in, one map of the same shape out: it can stand at a site of a network."""
    layer, inputs = subject.layer, subject.inputs
    outputs = run(layer, *inputs)
    if len(inputs) != 1 or len(outputs) != 1 or outputs[0].shape != inputs[0].shape:
        raise CheckFailed("it does not give one map of the shape of the one that it takes")
    return "gives a map of the shape that it takes"


def check_seed(subject: Subject) -> str:
    """A seed fixes the initial weights."""
    layer, weights = subject.layer, []
    for _ in range(2):
        keras.utils.set_random_seed(7)
        weights.append(build(type(layer).from_config(layer.get_config()), *subject.inputs).get_weights())
    if not all(np.array_equal(a, b) for a, b in zip(*weights, strict=True)):
        raise CheckFailed("a seed does not fix the weights: take initializers of Keras, not numpy's random numbers")
    return "a seed fixes the initial weights"


def check_config(subject: Subject) -> str:
    """`get_config` makes the layer anew."""
    layer, inputs = subject.layer, subject.inputs
    copy = copy_of(layer, *inputs)
    if copy.get_config() != layer.get_config():
        raise CheckFailed("get_config changes in a round trip")
    if error(run(copy, *inputs), run(layer, *inputs)) >= SAME:
        raise CheckFailed("another output after a round trip: get_config must hold every argument of the constructor")
    return "get_config makes it anew"


def check_saving(subject: Subject) -> str:
    """A `.keras` file gives the same numbers."""
    layer, inputs = subject.layer, subject.inputs
    registered = keras.saving.get_registered_name(type(layer))
    if keras.saving.get_registered_object(registered) is not type(layer):
        raise CheckFailed(
            "it is not registered, so that no other process can load it: decorate the class with "
            "@keras.saving.register_keras_serializable()"
        )
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/model.keras"
        as_model(layer, *inputs).save(path)
        loaded = keras.saving.load_model(path)
    if error(run(loaded, *inputs), run(layer, *inputs)) >= SAME:
        raise CheckFailed("another output after saving and loading: are all weights made in build?")
    return f"a .keras file gives the same numbers, as {registered}"


def check_gradients(subject: Subject) -> str:
    """Outputs and gradients are finite on given, constant, zero and huge inputs."""
    inputs = subject.inputs
    cases: dict[str, Sequence[np.ndarray]] = {
        "the given": inputs,
        "constant": [np.ones_like(x) for x in inputs],
        "zero": [np.zeros_like(x) for x in inputs],
        "huge": [x * np.float32(subject.huge) for x in inputs],
    }
    copy = copy_of(subject.layer, *inputs)  # training moves the statistics
    for case, values in cases.items():
        if not all(np.all(np.isfinite(v)) for v in outputs_and_gradients(copy, *values)):
            raise CheckFailed(f"outputs or gradients that are not finite on {case} inputs")
    return "finite on given, constant, zero and huge inputs"


def check_half_precision(subject: Subject) -> str:
    """float16 and bfloat16 are close to float32."""
    want, found = run(subject.layer, *subject.inputs), []
    for policy, allowed in {**HALF_TOLERANCES, **subject.half_tolerances}.items():
        off = error(run(copy_of(subject.layer, *subject.inputs, dtype=policy), *subject.inputs), want)
        if not off <= allowed:
            raise CheckFailed(f"{policy} is off by {off:.1e} (allowed {allowed:.0e})")
        found.append(f"{policy} {off:.0e}")
    return ", ".join(found)


def check_jit(subject: Subject) -> str:
    """XLA gives the same outputs and gradients."""
    if keras.backend.backend() == "torch":
        raise Skipped("torch's compiler needs a C++ toolchain")
    want = outputs_and_gradients(subject.layer, *subject.inputs, training=False)
    off = error(outputs_and_gradients(subject.layer, *subject.inputs, training=False, jit=True), want)
    if not off <= 1e-4:
        raise CheckFailed(f"XLA gives other outputs or gradients: off by {off:.1e}")
    return f"off by {off:.0e}"


def check_format(name: str) -> Callable[[Subject], str]:
    """A check of exported files, which an exporter refuses unless they compute what the layer does."""

    def check(subject: Subject) -> str:
        if keras.backend.backend() != "tensorflow":
            raise Skipped(f"Keras runs on {keras.backend.backend()}, files are written on TensorFlow")
        inputs, row = subject.inputs, FORMATS[name]
        images = np.concatenate([x.reshape(len(x), 1, -1, 1) for x in inputs], axis=2)
        want, allowed = run(subject.layer, *inputs), subject.export_tolerance
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"layer{row.suffix}"
            options: dict[str, Any] = {"images": images, "tolerance": allowed, "outputs": "all", "allow": subject.allow}
            try:
                row.export(of_one_image(subject.layer, *inputs), path, **options)
            except ExportError as problem:
                raise CheckFailed(" ".join(str(problem).split())) from problem
            got = load(path)(images)
        off = error([np.asarray(got[f"output{i}"], "float64") for i in range(len(want))], want)
        if not off <= allowed:
            raise CheckFailed(f"{row.title} is off by {off:.1e} (allowed {allowed:.0e})")
        return f"off by {off:.0e}"

    return check


def check_attention(subject: Subject) -> str:
    """`return_attention` gives the attention behind the same output."""
    layer, inputs = subject.layer, subject.inputs
    if not hasattr(layer, "return_attention"):
        raise Skipped("it has no option return_attention, by which kattn.explain would show where it looks")
    asked = build(type(layer).from_config({**layer.get_config(), "return_attention": True}), *inputs)
    plain = build(type(layer).from_config({**layer.get_config(), "return_attention": False}), *inputs)
    for one in (asked, plain):
        one.set_weights(layer.get_weights())
    outputs, both = run(plain, *inputs), run(asked, *inputs)
    if len(both) <= len(outputs) or error(both[: len(outputs)], outputs) > 1e-5:
        raise CheckFailed("with return_attention=True it does not give the same output, then its attention")
    return f"given on request: {', '.join(str(y.shape) for y in both[len(outputs) :])}"


BASICS = {
    "shapes": check_shapes,
    "seed": check_seed,
    "config": check_config,
    "saving": check_saving,
    "gradients": check_gradients,
}
EVERYWHERE = {
    "half precision": check_half_precision,
    "XLA": check_jit,
    "TFLite": check_format("tflite"),
    "ONNX": check_format("onnx"),
}
