"""`kattn.describe`: what a model takes and gives, whatever it comes as."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from kattn.export.proof.runner import Runner
from kattn.facts.description import Description
from kattn.facts.of_model import describe_model
from kattn.facts.stated import Stated
from kattn.runs.opening import ARTEFACT, KERAS, RUN, ZOO, Opened, open_model


def describe(model: Any, *, weights: str | None = None, trust: bool = False, **stated: Any) -> Description:
    """What a model takes and gives, and where each of these facts comes from.

    A fact is stated by an argument, recorded with a run, an exported file or weights, known of the zoo's networks, read
    in the model's own graph, or measured; what nothing says is "not known", and never assumed.

    Args:
        model: A Keras model, the folder of a run, a file (.keras, .tflite, .onnx), the folder of a SavedModel, the name
            of a model of the zoo, or what `kattn.export.load` gave.
        weights: Of a run or a name of the zoo; see `kattn.evaluate`.
        trust: As in `kattn.export.load`.
        stated: value_range, preprocess, resize, interpolation, labels, kinds; see `kattn.facts.stated.Stated`.

    Returns: The Description; printed it is a table, `to_dict` gives it as JSON holds it.
    Raises: ValueError for what is no model or cannot be read, and for statements that do not fit it; TypeError for
        further arguments that state nothing.
    """
    said = Stated.of(stated)
    if isinstance(model, (str, Path)):
        kinds = (RUN, KERAS, ARTEFACT, ZOO)
        return described(open_model(model, kinds=kinds, weights=weights, unfinished=True, trust=trust), said)
    if isinstance(model, Runner):
        model.stated = said.over(model.stated)
        model.__dict__.pop("description", None)
        return model.description
    return describe_model(model, said)


def described(opened: Opened, stated: Stated | None = None) -> Description:
    """The description of an opened model."""
    if opened.runner is not None:
        opened.runner.stated = stated or Stated()
        return opened.runner.description
    return replace(describe_model(opened.model, stated, opened.name), source=opened.kind)
