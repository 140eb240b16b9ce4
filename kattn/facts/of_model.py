"""What a Keras model says of itself, and what is remembered of it while it is in memory."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, replace
from typing import Any

import keras

from kattn.facts.description import (
    ATTRIBUTES,
    BINARY,
    CLASSES,
    DEFAULT,
    MAP,
    MODEL,
    STATED,
    UNKNOWN,
    Description,
    Fact,
    Input,
    Output,
)
from kattn.facts.kinds import check_kinds, describe_outputs
from kattn.facts.stated import INTERPOLATION, RESIZE, Stated
from kattn.facts.value_range import value_range_of
from kattn.graph.flow import Flow
from kattn.graph.inputs import require_functional


@dataclass(frozen=True)
class Known:
    """What travelled with a model, and from where: the origin of each of these facts."""

    stated: Stated
    origin: str
    detail: str = ""


_known: weakref.WeakKeyDictionary[Any, Known] = weakref.WeakKeyDictionary()
_inputs: weakref.WeakKeyDictionary[Any, dict[str, Input]] = weakref.WeakKeyDictionary()


def remember(model: keras.Model, stated: Stated, origin: str, detail: str = "") -> None:
    """Keep what is known of a model as long as it is in memory: what a run's folder or a weights file says of it."""
    before = _known.get(model)
    _known[model] = Known(stated.over(before.stated) if before else stated, origin, detail)


def known_of(model: Any) -> Known | None:
    """What was remembered of a model."""
    try:
        return _known.get(model)
    except TypeError:  # no key of a weak dictionary
        return None


def describe_model(model: keras.Model, stated: Stated | None = None, name: str | None = None) -> Description:
    """What a functional or built Sequential model takes and gives; each fact stated, remembered, or read in its graph.

    Args:
        model: The model.
        stated: What the caller states, which counts first.
        name: What messages call it; None for its own name.

    Raises: ValueError for a model whose graph cannot be read, and for a stated output or kind that does not exist.
    """
    inputs, known = read_inputs(model), known_of(model)
    kinds = {**(known.stated.outputs if known else {}), **(stated.outputs if stated else {})}
    found = Description(name or model.name, "model", inputs, describe_outputs(model, kinds))
    if known:
        found = with_stated(found, known.stated, known.origin, known.detail)
    return with_stated(found, stated) if stated else found


def image_of(model: keras.Model, stated: Stated | None = None) -> Input:
    """The input of a model of one image: what `describe_model` says of it, without a look at the outputs."""
    found, known = Description(model.name, "model", read_inputs(model)), known_of(model)
    for one, origin in ((known.stated, known.origin) if known else (None, ""), (stated, STATED)):
        if one:
            found = with_stated(found, replace(one, labels=None, outputs={}), origin, known.detail if known else "")
    return found.input


def read_inputs(model: keras.Model) -> dict[str, Input]:
    """The inputs of a model as its graph has them; read once for a model."""
    if model not in _inputs:
        require_functional(model, "A description")
        flow = Flow(model)
        _inputs[model] = {
            tensor.name: Input(
                name=tensor.name,
                shape=Fact(tuple(tensor.shape[1:]), MODEL),
                dtype=Fact(str(tensor.dtype), MODEL),
                value_range=value_range_of(flow, tensor)[0],
                resize=Fact(RESIZE, DEFAULT),
                interpolation=Fact(INTERPOLATION, DEFAULT),
            )
            for tensor in flow.inputs
        }
    return _inputs[model]


def with_stated(found: Description, stated: Stated, origin: str = STATED, detail: str = "") -> Description:
    """A description in which what is stated counts. What is stated of the image holds for each input of rank 3."""

    def fact(value: Any, before: Fact) -> Fact:
        return before if not value else Fact(value, origin, detail)

    inputs = {}
    for name, one in found.inputs.items():
        image = len(found.inputs) == 1 or len(one.shape.value or ()) == 3
        both = bool(stated.value_range or stated.preprocess) and image
        inputs[name] = replace(
            one,
            value_range=fact(stated.value_range, UNKNOWN) if both else one.value_range,
            preprocess=fact(stated.preprocess, UNKNOWN) if both else one.preprocess,
            resize=fact(stated.resize, one.resize) if image else one.resize,
            interpolation=fact(stated.interpolation, one.interpolation) if image else one.interpolation,
        )
    check_kinds(stated.outputs, found.outputs)
    outputs = dict(found.outputs)
    for name, kind in stated.outputs.items():
        outputs[name] = replace(outputs[name], kind=Fact(kind, origin, detail))
    if stated.labels:
        outputs = {name: _labelled(one, Fact(stated.labels, origin, detail)) for name, one in outputs.items()}
        if origin == STATED and not any(one.labels.known for one in outputs.values()):
            lengths = ", ".join(f"{name} {one.shape}" for name, one in outputs.items())
            raise ValueError(f"{len(stated.labels)} labels fit none of the outputs of {found.name}: {lengths}.")
    return replace(found, inputs=inputs, outputs=outputs)


def _labelled(output: Output, labels: Fact) -> Output:
    """An output with the labels, where it has as many classes. Labels say that a vector of numbers is of classes."""
    count, last = len(labels.value), output.shape[-1] if output.shape else None
    if output.kind.value == BINARY and count == 2:
        return replace(output, labels=labels)
    if count != last:
        return output
    if output.kind.value in (CLASSES, BINARY, ATTRIBUTES, MAP):
        return replace(output, labels=labels)
    if output.kind.origin in ("model", "measured") and len(output.shape) == 1 and output.kind.value == "values":
        return replace(output, kind=Fact(CLASSES, labels.origin, "it has labels"), activated=False, labels=labels)
    return output
