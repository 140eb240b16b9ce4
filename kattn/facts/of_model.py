"""What a Keras model says of itself, and what is remembered of it while it is in memory."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, replace
from typing import Any

import keras

from kattn.facts.description import DEFAULT, MODEL, STATED, Description, Fact, Input
from kattn.facts.kinds import describe_outputs
from kattn.facts.stated import INTERPOLATION, RESIZE, Stated
from kattn.facts.stating import with_stated
from kattn.facts.value_range import value_range_of
from kattn.graph.flow import Flow
from kattn.graph.inputs import require_functional
from kattn.graph.outputs import named_outputs


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
    names = list(named_outputs(model))
    kinds = {**(known.stated.kinds_of(names) if known else {}), **(stated.kinds_of(names) if stated else {})}
    found = Description(name or model.name, "model", inputs, describe_outputs(model, kinds))
    if known:
        found = with_stated(found, known.stated, known.origin, known.detail)
    return with_stated(found, stated) if stated else found


def image_of(model: keras.Model, stated: Stated | None = None) -> Input:
    """The input of a model of one image: what `describe_model` says of it, without a look at the outputs."""
    found, known = Description(model.name, "model", read_inputs(model)), known_of(model)
    for one, origin in ((known.stated, known.origin) if known else (None, ""), (stated, STATED)):
        if one:
            found = with_stated(found, replace(one, labels=None, kinds={}), origin, known.detail if known else "")
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
                value_range=value_range,
                resize=Fact(RESIZE, DEFAULT),
                interpolation=Fact(INTERPOLATION, DEFAULT),
                typical=typical,
            )
            for tensor in flow.inputs
            for value_range, typical in [value_range_of(flow, tensor)]
        }
    return _inputs[model]
