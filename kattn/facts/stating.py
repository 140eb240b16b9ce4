"""Descriptions with what was stated or recorded put over what was found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kattn.facts.description import (
    ATTRIBUTES,
    BINARY,
    CLASSES,
    KINDS,
    MAP,
    MEASURED,
    MODEL,
    STATED,
    UNKNOWN,
    VALUES,
    Description,
    Fact,
    Output,
)
from kattn.facts.stated import Stated, read_labels
from kattn.suggest import unknown


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
    kinds = stated.kinds_of(found.outputs)
    check_kinds(kinds, found.outputs)
    outputs = dict(found.outputs)
    for name, kind in kinds.items():
        outputs[name] = replace(outputs[name], kind=Fact(kind, origin, detail))
    if stated.labels:
        outputs = {name: _labelled(one, Fact(stated.labels, origin, detail)) for name, one in outputs.items()}
        if origin == STATED and not any(one.labels.known for one in outputs.values()):
            lengths = ", ".join(f"{name} {one.shape}" for name, one in outputs.items())
            raise ValueError(
                f"{len(read_labels(stated.labels))} labels fit none of the outputs of {found.name}: {lengths}."
            )
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
    if output.kind.origin in (MODEL, MEASURED) and len(output.shape) == 1 and output.kind.value == VALUES:
        return replace(output, kind=Fact(CLASSES, labels.origin, "it has labels"), activated=False, labels=labels)
    return output


def check_kinds(stated: Mapping[str, str], outputs: Mapping[str, Any]) -> None:
    """Raise ValueError for a stated kind that does not exist, or of an output that the model does not have."""
    for name, kind in stated.items():
        if name not in outputs:
            raise unknown("output", name, outputs)
        if kind not in KINDS:
            raise unknown("kind of output", kind, KINDS)
