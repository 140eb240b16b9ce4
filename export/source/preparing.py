"""The model to export, checked and brought into the form that every exporter starts from."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from kattn.export.errors import ExportInputError
from kattn.export.source.model import Source, Taken
from kattn.export.source.names import INPUT, PREDICTIONS
from kattn.export.source.rebuilding import is_integer_map, reasons_to_rebuild, rebuild
from kattn.facts.of_model import describe_model
from kattn.facts.stated import Stated
from kattn.graph.inputs import require_functional
from kattn.graph.outputs import named_outputs

# Heights and widths at which a model of open size is compared: multiples of 32, as networks with skips between levels
# need them, then the larger ones that others need.
SIZES = ((64, 96), (96, 64), (128, 160), (160, 128), (224, 256), (320, 288))


def prepare(
    model: Any,
    outputs: str | Sequence[str] | None = None,
    input_shape: Sequence[int] | None = None,
    stated: Stated | None = None,
    *,
    open_sizes: bool = False,
    quantised: bool = False,
) -> Source:
    """Check a model and bring it into the form that the exporters take.

    Args:
        model: A built functional or Sequential Keras model; any dtype policy.
        outputs: Names of the outputs to keep, or "all". None keeps `predictions` where the model has an output of that
            name, else all of them.
        input_shape: (height, width, channels), for a model that leaves them open.
        stated: What the caller states of the model's input and outputs.
        open_sizes: Sizes that the model leaves open stay open unless `input_shape` says them.
        quantised: The artefact quantises its inputs: maps of integers come in as float32.

    Raises: ExportInputError for a model that cannot be exported (subclassed, not built, weights that are not finite,
        another backend than TensorFlow), an unknown output, a size that the model does not take, or a statement that
        does not fit it.
    """
    check_backend()
    try:
        require_functional(model, "Export")
    except ValueError as error:
        raise ExportInputError(str(error)) from None
    named = named_outputs(model)
    chosen = _choose(named, outputs)
    try:
        description = describe_model(model, replace(stated, kinds=stated.kinds_of(chosen)) if stated else None)
    except ValueError as error:
        raise ExportInputError(str(error)) from None
    names = input_names(model, chosen)
    # The model's graph cut down to the outputs wanted: the branches of the others leave no weights in the artefact.
    inputs = model.inputs[0] if len(names) == 1 else list(model.inputs)
    reference = keras.Model(inputs, {name: named[name] for name in chosen}, name=_safe_name(model.name))
    _check_weights(reference)
    shapes = {name: tuple(tensor.shape[1:]) for name, tensor in zip(names, reference.inputs, strict=True)}
    shapes[names[0]] = _first_shape(shapes[names[0]], input_shape, open_sizes=open_sizes)
    if unknown := [f"{name} {shapes[name]}" for name in names[1:] if None in shapes[name]]:
        raise ExportInputError(f"Only the first input may leave sizes open. Received: {', '.join(unknown)}")
    reference, notes = _with_shape(reference, names, shapes), []
    twin = reference
    integers = quantised and any(map(is_integer_map, reference.inputs))
    if (reasons := reasons_to_rebuild(reference)) or integers:
        twin = rebuild(reference, floats=integers)
        if reasons:
            notes.append(f"the model was rebuilt in float32 for conversion: {', '.join(reasons)}")
        if any(reason != "grouped convolutions that Keras compiles by XLA" for reason in reasons):
            reference = twin
    given = description.inputs.values()
    return Source(
        model=twin,
        reference=reference,
        outputs=chosen,
        inputs={
            name: Taken(shapes[name], str(tensor.dtype), known)
            for name, tensor, known in zip(names, twin.inputs, given, strict=True)
        },
        description=replace(description, outputs={name: description.outputs[name] for name in chosen}),
        sizes=sizes_of(reference, shapes[names[0]]),
        notes=notes,
    )


def input_names(model: keras.Model, outputs: Collection[str]) -> list[str]:
    """Names for the inputs of an artefact: "image" for the only one, else the model's own, none of them an output's."""
    own = [INPUT] if len(model.inputs) == 1 else [_safe_name(tensor.name) for tensor in model.inputs]
    names: list[str] = []
    for name in own:
        free = name
        while free in (*outputs, *names):
            free += "_input"
        names.append(free)
    return names


def sizes_of(model: keras.Model, shape: tuple[int | None, ...]) -> list[tuple[int, ...]]:
    """Shapes to compare at: the only one, or the first two sizes that a model of open size takes.

    Raises: ExportInputError where it takes none of them.
    """
    if None not in shape:
        return [tuple(size for size in shape if size is not None)]
    found: list[tuple[int, ...]] = []
    for size in SIZES:
        fill = iter(size * len(shape))
        one = tuple(next(fill) if side is None else side for side in shape)
        try:
            _called(model, [one, *(tuple(tensor.shape[1:]) for tensor in model.inputs[1:])])
        except Exception:  # whatever its layers raise
            continue
        found.append(one)
        if len(found) == 2:
            return found
    raise ExportInputError(
        f"The model leaves its input size open, {shape}, and takes none of the sizes that kattn tried: "
        f"{', '.join('x'.join(map(str, size)) for size in SIZES)}. Give one: input_shape=."
    )


def check_backend() -> None:
    """Exports trace TensorFlow graphs; a model of another backend is exported through a .keras file."""
    if keras.backend.backend() != "tensorflow":
        raise ExportInputError(
            f"Export needs the TensorFlow backend; Keras runs on {keras.backend.backend()} here. Save the model "
            '(model.save("model.keras")), load it in a process with KERAS_BACKEND=tensorflow and export it there.'
        )


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


def _first_shape(
    own: tuple[int | None, ...], input_shape: Sequence[int] | None, *, open_sizes: bool
) -> tuple[int | None, ...]:
    if input_shape is None:
        if None in own and not open_sizes:
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


def _with_shape(model: keras.Model, names: Sequence[str], shapes: Mapping[str, tuple[int | None, ...]]) -> keras.Model:
    """The model on inputs of these shapes."""
    if all(tuple(t.shape[1:]) == shapes[name] for t, name in zip(model.inputs, names, strict=True)):
        return model
    try:
        return _called(model, list(shapes.values()), names)
    except Exception as error:
        raise ExportInputError(f"The model does not take images of shape {shapes[names[0]]}: {error}") from error


def _called(
    model: keras.Model, shapes: Sequence[tuple[int | None, ...]], names: Sequence[str | None] = ()
) -> keras.Model:
    named = names or [None] * len(shapes)
    inputs = [
        keras.Input(shape, dtype=tensor.dtype, name=name)
        for shape, tensor, name in zip(shapes, model.inputs, named, strict=True)
    ]
    given = inputs[0] if len(inputs) == 1 else inputs
    return keras.Model(given, model(given), name=model.name)


def _safe_name(name: str) -> str:
    return "".join(c if c.isalnum() or c == "_" else "_" for c in name)
