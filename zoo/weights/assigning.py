"""The tensors of another collection into a model: all of them in their places, or none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from kattn.layers.pieces.norms import BN_EPSILON
from kattn.suggest import unknown
from kattn.zoo.weights.files.foreign_files import Tensors, open_tensors
from kattn.zoo.weights.naming.dialects import dialects
from kattn.zoo.weights.naming.layouts import part, to_ours
from kattn.zoo.weights.pairing import Mismatch, Plan, Step, make_plan


def load_tensors(
    model: keras.Model,
    source: Any,
    *,
    dialect: str | None = None,
    shown: str = "",
    adaptable: Mapping[str, int] | None = None,
    include_top: bool = True,
) -> Plan:
    """Put the tensors of another collection into a model.

    Args:
        model: Built; its values are lost.
        source: See `open_tensors`.
        dialect: Name of the table to follow; None takes the one that fits.
        shown: What errors call the source.
        adaptable: Layers that may stay new, see `make_plan`.
        include_top: False lets the file have a head that the model does not.

    Returns: How they were placed.
    Raises: Mismatch, a ValueError, before anything is assigned.
    """
    tables = dialects()
    if dialect is not None and dialect not in tables:
        raise unknown("dialect", dialect, tables)
    with open_tensors(source) as tensors:
        best: Plan | None = None
        for table in [tables[dialect]] if dialect else tables.values():
            plan = make_plan(model, tensors, table, adaptable=adaptable, include_top=include_top)
            if best is None or plan.problems < best.problems:
                best = plan
            if not best.problems:
                break
        assert best is not None
        if best.problems:
            raise Mismatch(shown or str(source), model.name, best)
        _assign(model, tensors, best)
    return best


def _assign(model: keras.Model, tensors: Tensors, plan: Plan) -> None:
    layers = {layer.name: layer for layer in model.layers}
    first = next((step.variable.path for step in plan.steps if step.variable.path.endswith("kernel")), "")
    for step in plan.steps:
        path = step.variable.path
        value = _value(tensors, step, layers[path.split("/")[0]], plan)
        if plan.dialect.bgr and path == first and value.shape[2] == 3:
            value = value[:, :, ::-1]
        step.variable.assign(np.ascontiguousarray(value))


def _value(tensors: Tensors, step: Step, layer: Any, plan: Plan) -> np.ndarray:
    value = tensors.read(step.key)
    if step.parts > 1:
        groups = getattr(layer, "groups", 1) if step.name.layout == "grouped_part" else 1
        value = part(value, step.name.part, step.parts, groups)
    value = to_ours(value, step.axes, tuple(step.variable.shape), step.name.layout)
    if step.minus:
        value = value - tensors.read(step.minus)
    if plan.dialect.epsilon is not None and step.variable.path.endswith("moving_variance"):
        value = value + (plan.dialect.epsilon - getattr(layer, "epsilon", BN_EPSILON))
    return value
