"""The model to export, checked and brought into the form that every exporter starts from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from kattn.export.errors import ExportInputError
from kattn.export.source.model import Source
from kattn.export.source.names import INPUT, PREDICTIONS
from kattn.export.source.rebuilding import reasons_to_rebuild, rebuild
from kattn.facts.of_model import describe_model
from kattn.facts.stated import Stated
from kattn.graph.inputs import require_functional
from kattn.graph.outputs import named_outputs


def prepare(
    model: Any,
    outputs: str | Sequence[str] | None = None,
    input_shape: Sequence[int] | None = None,
    stated: Stated | None = None,
) -> Source:
    """Check a model and bring it into the form that the exporters take.

    Args:
        model: A built functional or Sequential Keras model with one input; any dtype policy.
        outputs: Names of the outputs to keep, or "all". None keeps `predictions` where the model has an output of that
            name, else all of them.
        input_shape: (height, width, channels), for a model that leaves them open.
        stated: What the caller states of the model's input and outputs.

    Raises: ExportInputError for a model that cannot be exported (subclassed, not built, several inputs, weights that
        are not finite, another backend than TensorFlow), an unknown output, a size that the model does not take, or a
        statement that does not fit it.
    """
    check_backend()
    named = _named_outputs(model)
    chosen = _choose(named, outputs)
    try:
        description = describe_model(model, stated.about(chosen) if stated else None)
    except ValueError as error:
        raise ExportInputError(str(error)) from None
    # The model's graph cut down to the outputs wanted: the branches of the others leave no weights in the artefact.
    reference = keras.Model(model.inputs[0], {name: named[name] for name in chosen}, name=_safe_name(model.name))
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
        description=replace(description, outputs={name: description.outputs[name] for name in chosen}),
        notes=notes,
    )


def check_backend() -> None:
    """Exports trace TensorFlow graphs; a model of another backend is exported through a .keras file."""
    if keras.backend.backend() != "tensorflow":
        raise ExportInputError(
            f"Export needs the TensorFlow backend; Keras runs on {keras.backend.backend()} here. Save the model "
            '(model.save("model.keras")), load it in a process with KERAS_BACKEND=tensorflow and export it there.'
        )


def _named_outputs(model: Any) -> dict[str, Any]:
    """The outputs of a model from one image, by name."""
    try:
        require_functional(model, "Export")
    except ValueError as error:
        raise ExportInputError(str(error)) from None
    if len(model.inputs) != 1:
        names = ", ".join(f"{tensor.name} {tuple(tensor.shape)}" for tensor in model.inputs)
        raise ExportInputError(
            f"Export takes models with one input, the image; {model.name!r} has {len(model.inputs)}: {names}."
        )
    return named_outputs(model)


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
