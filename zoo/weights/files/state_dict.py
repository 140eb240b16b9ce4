"""The way back: a model's weights as a torch state dict of another collection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from kattn.suggest import unknown
from kattn.zoo.weights.naming.dialects import Name, dialects
from kattn.zoo.weights.naming.layouts import PART_LAYOUTS, joined, to_theirs


def to_state_dict(model: keras.Model, dialect: str | None = None) -> dict[str, np.ndarray]:
    """The model's weights as another collection names and lays them out: what torch's `load_state_dict` takes.

    Args:
        model: Of the zoo.
        dialect: Table to follow, such as "timm.resnet"; None takes the first torch table that knows every layer. A
            collection's own name ("timm") takes its first.

    Returns: Name to array, in torch's order of axes (a convolution's kernel is (out, in, height, width)).
    Raises: ValueError where no table, or not the one asked for, knows every layer of the model.
    """
    tables = {name: table for name, table in dialects().items() if table.style == "torch"}
    chosen = [name for name in tables if dialect is None or name == dialect or name.startswith(f"{dialect}.")]
    if not chosen:
        raise unknown("dialect of torch", dialect, tables)
    variables = [variable for variable in model.weights if "seed_generator" not in variable.path]
    nameless: dict[str, list[str]] = {}
    for name in chosen:
        table = tables[name].of_network(layer.name for layer in model.layers)
        found = {variable.path: table.find(variable.path, "torch") for variable in variables}
        nameless[name] = [path for path, one in found.items() if one is None]
        if not nameless[name]:
            return _written(model, variables, {path: one for path, one in found.items() if one is not None})
    best = min(nameless, key=lambda name: len(nameless[name]))
    raise ValueError(f"{best} has no names for these layers of {model.name}: {'; '.join(nameless[best][:8])}")


def _written(model: keras.Model, variables: list[Any], names: Mapping[str, Name]) -> dict[str, np.ndarray]:
    layers = {layer.name: layer for layer in model.layers}
    state: dict[str, np.ndarray] = {}
    parts: dict[str, dict[int, np.ndarray]] = {}
    for variable in variables:
        name, layer = names[variable.path], layers[variable.path.split("/")[0]]
        value = to_theirs(keras.ops.convert_to_numpy(variable), name.layout)
        if name.layout in PART_LAYOUTS:
            parts.setdefault(name.keys[0], {})[name.part] = value
            groups = getattr(layer, "groups", 1) if name.layout == "grouped_part" else 1
            value = joined([one for _, one in sorted(parts[name.keys[0]].items())], groups)
        state[name.keys[0]] = np.ascontiguousarray(value)
    return state
