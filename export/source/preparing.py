"""The model to export, checked and brought into the form that every exporter starts from."""

from __future__ import annotations

import difflib
import fnmatch
import functools
import math
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from kattn.export.errors import ExportInputError
from kattn.export.source.names import INPUT, PREDICTIONS
from kattn.export.source.rebuilding import reasons_to_rebuild, rebuild
from kattn.graph.copies import all_layers
from kattn.layers.pieces.portable import portable_graphs

BATCH_BYTES = 64 * 2**20  # images of one batch while the model is run for comparison


@dataclass
class Source:
    """A functional model with one named input and named outputs, in float32.

    Attributes:
        model: What is converted; its output is a dict.
        reference: What the artefact must compute; the model as given, where that is in float32.
        outputs: Names in the order given.
        shape: Of one image: height, width, channels.
        dtype: Of the input.
        pixels: The model normalises raw 0-255 pixels itself, as far as its layers tell.
        notes: What was changed.
    """

    model: keras.Model
    reference: keras.Model
    outputs: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    pixels: bool
    notes: list[str] = field(default_factory=list)

    def signature(self, batch: int | None) -> Any:
        """TensorSpec of the input."""
        import tensorflow as tf

        return tf.TensorSpec((batch, *self.shape), self.dtype, name=INPUT)

    def function(self) -> Callable[[Any], dict[str, Any]]:
        """The network as a plain function from the image tensor to its named outputs."""
        return named_function(self.model, self.outputs)

    def layer_of(self, name: str) -> str:
        """The layer in a tensor's name, as "block1_se" in "resnet20_1/block1_se_1/Conv2D;..."; else the name itself.

        Keras enters each scope twice, so TensorFlow numbers the second one: "net_1/conv2d_1/..." is conv2d, of a model
        called net, and conv2d_1 is "net_1/conv2d_1_2/...". Scopes are read as layers if the model's own has no number.
        """
        if name in self.makers:
            return self.makers[name]
        parts = re.split(r"[/;:]", name)
        numbered = parts[0] != self.model.name
        for part in parts:
            once, all_off = re.sub(r"_\d+$", "", part), re.sub(r"(_\d+)+$", "", part)
            for known in (once, part, all_off) if numbered else (part, once, all_off):
                if known in self.layers:
                    return known
        return name

    def layers_with(self, operators: Collection[str]) -> list[str]:
        """The layers that compute some of these TensorFlow operators."""
        import tensorflow as tf

        graph = (
            tf.function(self.function(), autograph=False).get_concrete_function(self.signature(1)).graph.as_graph_def()
        )
        nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
        return list(dict.fromkeys(self.layer_of(node.name) for node in nodes if node.op in operators))

    def layers_named(self, patterns: Sequence[str]) -> list[str]:
        """The layers whose names match one of the patterns ("*_gate").

        Raises: ExportInputError for a pattern that matches none.
        """
        given = [patterns] if isinstance(patterns, str) else list(patterns)
        unknown = [pattern for pattern in given if not fnmatch.filter(self.layers, pattern)]
        if unknown:
            close = difflib.get_close_matches(unknown[0], self.layers, n=3)
            hint = f" Closest: {', '.join(close)}." if close else ""
            raise ExportInputError(f"The model has no layer named {', '.join(unknown)}.{hint}")
        return sorted({name for pattern in given for name in fnmatch.filter(self.layers, pattern)})

    @functools.cached_property
    def makers(self) -> dict[str, str]:
        """Output to the layer that computes it, but for one inside a nested model: its tensor has the output's name."""
        found: dict[str, str] = {}
        for layer in self.model.layers:
            try:
                results = keras.tree.flatten(layer.output)
            except (AttributeError, ValueError):  # used several times, or never
                continue
            found |= {name: layer.name for name in self.outputs if any(x is self.model.output[name] for x in results)}
        return found

    @functools.cached_property
    def layers(self) -> frozenset[str]:
        """Names of the layers, those inside nested models too."""
        return frozenset(layer.name for layer in all_layers(self.model))

    def predict(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """The reference's outputs in float32."""
        return run_keras(self.reference, self.outputs, images)


def prepare(model: Any, outputs: str | Sequence[str] | None = None, input_shape: Sequence[int] | None = None) -> Source:
    """Check a model and bring it into the form that the exporters take.

    Args:
        model: A built functional or Sequential Keras model with one input; any dtype policy.
        outputs: Names of the outputs to keep, or "all". None keeps `predictions` where the model has an output of that
            name, else all of them.
        input_shape: (height, width, channels), for a model that leaves them open.

    Raises: ExportInputError for a model that cannot be exported (subclassed, not built, several inputs, weights that
        are not finite, another backend than TensorFlow), an unknown output, or a size that the model does not take.
    """
    check_backend()
    functional, named = _functional(model)
    chosen = _choose(named, outputs)
    # The model's graph cut down to the outputs wanted: the branches of the others leave no weights in the artefact.
    reference = keras.Model(functional.inputs[0], {name: named[name] for name in chosen}, name=_safe_name(model.name))
    _check_weights(reference)
    shape = _image_shape(reference, input_shape)
    reference, notes = _with_shape(reference, shape), []
    twin = reference
    if reasons := reasons_to_rebuild(reference):
        twin = rebuild(reference)
        notes.append(f"the model was rebuilt in float32 for conversion: {', '.join(reasons)}")
        if any(reason != "grouped convolutions that Keras compiles by XLA" for reason in reasons):
            reference = twin
    return Source(
        model=twin,
        reference=reference,
        outputs=chosen,
        shape=shape,
        dtype=str(twin.inputs[0].dtype),
        pixels=takes_pixels(reference),
        notes=notes,
    )


def check_backend() -> None:
    """Exports trace TensorFlow graphs; a model of another backend is exported through a .keras file."""
    if keras.backend.backend() != "tensorflow":
        raise ExportInputError(
            f"Export needs the TensorFlow backend; Keras runs on {keras.backend.backend()} here. Save the model "
            '(model.save("model.keras")), load it in a process with KERAS_BACKEND=tensorflow and export it there.'
        )


def run_keras(model: keras.Model, outputs: Sequence[str], images: np.ndarray) -> dict[str, np.ndarray]:
    """A model's named outputs as numpy, computed in batches as one graph."""
    import tensorflow as tf

    # A concrete function: tf.function warns of retracing when many models are exported in one process.
    image = model.inputs[0]
    spec = tf.TensorSpec((None, *images.shape[1:]), image.dtype, name=INPUT)
    function = tf.function(named_function(model, outputs), autograph=False).get_concrete_function(spec)
    size = max(1, min(64, BATCH_BYTES // max(1, images[0].nbytes * 16)))
    parts = [function(tf.constant(images[i : i + size], image.dtype)) for i in range(0, len(images), size)]
    return {name: np.concatenate([part[name].numpy() for part in parts]) for name in outputs}


def named_function(model: keras.Model, outputs: Sequence[str]) -> Callable[[Any], dict[str, Any]]:
    """A model whose output is a dict as a function from the input to the outputs asked for, in float32."""
    import tensorflow as tf

    def serve(image: Any) -> dict[str, Any]:
        with portable_graphs():
            result = model(image, training=False)
        return {name: tf.cast(result[name], "float32") for name in outputs}

    return serve


def takes_pixels(model: keras.Model) -> bool:
    """Whether the first layers rescale or normalise: then the model takes raw pixels."""
    first = [layer for layer in all_layers(model) if not isinstance(layer, keras.layers.InputLayer)][:3]
    return any(isinstance(layer, (keras.layers.Rescaling, keras.layers.Normalization)) for layer in first)


def _functional(model: Any) -> tuple[keras.Model, dict[str, Any]]:
    """The model as a functional one, and its outputs by name."""
    if not isinstance(model, keras.Model):
        raise ExportInputError(f"Export takes a Keras model. Received: {type(model).__module__}.{type(model).__name__}")
    try:
        inputs, outputs = model.inputs, model.outputs
    except AttributeError:
        inputs = outputs = None
    if not inputs or not outputs:
        if isinstance(model, keras.Sequential):
            what = (
                "is not built: its input shape is unknown. Start it with keras.Input(shape) or call model.build(shape)"
            )
        else:
            what = (
                "is subclassed: its graph cannot be read. Wrap it: x = keras.Input(shape); "
                "keras.Model(x, model.call(x)), or write it with the functional API"
            )
        raise ExportInputError(f"Model {model.name!r} ({type(model).__name__}) {what}.")
    if len(inputs) != 1:
        names = ", ".join(f"{tensor.name} {tuple(tensor.shape)}" for tensor in inputs)
        raise ExportInputError(
            f"Export takes models with one input, the image; {model.name!r} has {len(inputs)}: {names}."
        )
    if isinstance(model, keras.Sequential):
        return model, {PREDICTIONS: outputs[0]}
    return model, _names(model, outputs)


def _names(model: keras.Model, outputs: Sequence[Any]) -> dict[str, Any]:
    structure = model.output
    if isinstance(structure, dict) and all(hasattr(tensor, "shape") for tensor in structure.values()):
        return {str(name): tensor for name, tensor in structure.items()}
    if len(outputs) == 1:
        return {PREDICTIONS: outputs[0]}
    named: dict[str, Any] = {}
    for name, tensor in zip(model.output_names, outputs, strict=True):
        unique, count = str(name), 1
        while unique in named:
            count += 1
            unique = f"{name}_{count}"
        named[unique] = tensor
    return named


def _choose(named: dict[str, Any], outputs: str | Sequence[str] | None) -> tuple[str, ...]:
    if outputs is None:
        return (PREDICTIONS,) if PREDICTIONS in named else tuple(named)
    if outputs == "all":
        return tuple(named)
    wanted: Iterable[str] = (outputs,) if isinstance(outputs, str) else outputs
    chosen = tuple(dict.fromkeys(wanted))
    unknown = [name for name in chosen if name not in named]
    if unknown or not chosen:
        raise ExportInputError(
            f'The model has the outputs {", ".join(named)}; give some of these names, "all" or None. '
            f"Received: outputs={outputs!r}"
        )
    return chosen


def _check_weights(model: keras.Model) -> None:
    for weight in model.weights:
        values = keras.ops.convert_to_numpy(weight)
        if values.dtype.kind not in "iub" and not np.isfinite(values.astype("float32", copy=False)).all():
            raise ExportInputError(
                f"Weight {weight.path} holds values that are not finite (NaN or infinite): the training diverged. "
                "Load an earlier checkpoint."
            )


def _image_shape(model: keras.Model, input_shape: Sequence[int] | None) -> tuple[int, ...]:
    own = tuple(model.inputs[0].shape[1:])
    if input_shape is None:
        if None in own:
            raise ExportInputError(
                f"The model leaves its input size open: {own}. Give the size the artefact is for, as in "
                f"input_shape={tuple(224 if d is None else d for d in own)}."
            )
        return own
    given = tuple(input_shape)
    fits = len(given) == len(own) and all(b in (None, a) for a, b in zip(given, own, strict=True))
    if not fits or not all(isinstance(d, int) and d > 0 for d in given):
        raise ExportInputError(f"The model takes images of shape {own}. Received: input_shape={given}")
    return given


def _with_shape(model: keras.Model, shape: tuple[int, ...]) -> keras.Model:
    """The model on an input of one known size."""
    image = model.inputs[0]
    if tuple(image.shape[1:]) == shape:
        return model
    x = keras.Input(shape, dtype=image.dtype, name=INPUT)
    try:
        return keras.Model(x, model(x), name=model.name)
    except Exception as error:
        raise ExportInputError(f"The model does not take images of shape {shape}: {error}") from error


def _safe_name(name: str) -> str:
    return "".join(c if c.isalnum() or c == "_" else "_" for c in name)


def image_count(shape: Sequence[int]) -> int:
    """Images to compare on: 64 of CIFAR's size, fewer of larger ones, at least 8."""
    return int(min(64, max(8, 64 * 64 * 64 * 3 // math.prod(shape))))
