"""Weights of other collections: into a model, strictly, and back to a torch-layout state dict.

Which of theirs is which of ours is data (`dialects.py` and the tables in `names/`); how a tensor lies follows from its
shape, and where the shape does not tell, from the same tables. Every tensor of the file is used exactly once, or
nothing is loaded and the error lists what is missing, unexpected and of another shape.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kattn.layers.pieces.norms import BN_EPSILON
from kattn.zoo.weights.dialects import PART_LAYOUTS, Dialect, Name, dialects
from kattn.zoo.weights.foreign_files import Tensors, open_tensors

logger = logging.getLogger("kattn")

HEAD = ("logits",)  # what a network without its top does not have
# Order of their axes in ours, by (rank of theirs, rank of ours).
TORCH_AXES: Mapping[tuple[int, int], tuple[tuple[int, ...], ...]] = {
    (4, 4): ((2, 3, 1, 0), (2, 3, 0, 1)),  # a convolution; a depthwise one
    (2, 4): ((1, 0),),  # a dense layer that is a 1x1 convolution here
    (3, 4): ((2, 1, 0),),  # a one-dimensional convolution
    (2, 2): ((1, 0),),
    (4, 2): ((1, 0, 2, 3),),  # a 1x1 convolution that is a dense layer here
    (1, 1): ((0,),),
}
# What convert tries where the file does not say how the network was built: variants of a ResNet.
VARIANTS: tuple[dict[str, Any], ...] = (
    {},
    {"shortcut": "A"},
    {"shortcut": "D", "stem_widths": (32, 32, 64)},
    {"shortcut": "D", "stem_widths": (24, 32, 64)},
)


@dataclass(frozen=True)
class Step:
    """One variable of the model and where its value comes from."""

    variable: Any
    key: str
    name: Name
    axes: tuple[int, ...]
    parts: int = 1
    minus: str = ""


@dataclass
class Plan:
    """How a file's tensors go into a model; complete when nothing is left over on either side.

    Attributes:
        dialect: The table that it follows.
        steps: What is loaded.
        missing: Our variables that the file does not have, with the names looked for.
        unexpected: The file's tensors that have no place.
        differing: Pairs of the same name and another shape.
        renewed: Layers that stay new, because the number of classes or channels is another one.
    """

    dialect: Dialect
    steps: list[Step] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    unexpected: list[str] = field(default_factory=list)
    differing: dict[str, str] = field(default_factory=dict)
    renewed: set[str] = field(default_factory=set)

    @property
    def problems(self) -> int:
        """How many tensors find no partner."""
        return len(self.missing) + len(self.unexpected) + len(self.differing)


class Mismatch(ValueError):
    """The file is of another network; `plan` tells how far the best table went."""

    def __init__(self, shown: str, model: str, plan: Plan) -> None:
        self.plan = plan
        lines = [f"{shown} is not of {model} (names compared: {plan.dialect.name})."]
        lines += listing("missing in the file", [f"{ours} ({theirs})" for ours, theirs in plan.missing.items()])
        lines += listing("not in the model", plan.unexpected)
        lines += listing("of another shape", [f"{ours}: {text}" for ours, text in plan.differing.items()])
        lines += [hint for hint in (_hint(plan),) if hint]
        super().__init__("\n  ".join(lines))


def listing(title: str, entries: list[str], most: int = 8) -> list[str]:
    """One line of an error: so many entries, and how many more there are."""
    more = [f"... and {len(entries) - most} more"] if len(entries) > most else []
    return [f"{title} ({len(entries)}): {'; '.join([*entries[:most], *more])}"] if entries else []


def _hint(plan: Plan) -> str:
    if plan.missing and not plan.unexpected and all("_shortcut" in path for path in plan.missing):
        return 'The file has no weights in its shortcuts: build the model with shortcut="A".'
    if any(path.startswith("stem_") for path in plan.missing):
        return "The stem is another one: see stem_widths and shortcut of the ResNets."
    return ""


def load_tensors(
    model: keras.Model,
    source: Any,
    *,
    dialect: str | None = None,
    shown: str = "",
    adaptable: Iterable[str] = (),
    include_top: bool = True,
) -> Plan:
    """Put the tensors of another collection into a model.

    Args:
        model: Built; its values are lost.
        source: See `open_tensors`.
        dialect: Name of the table to follow; None takes the one that fits.
        shown: What errors call the source.
        adaptable: Layers that may stay new where theirs have another shape.
        include_top: False lets the file have a head that the model does not.

    Raises: Mismatch, a ValueError, before anything is assigned.
    """
    with open_tensors(source) as tensors:
        tables = dialects()
        if dialect is not None and dialect not in tables:
            raise ValueError(f"dialect={dialect!r} does not exist. There are: {', '.join(tables)}.")
        chosen = [tables[dialect]] if dialect else list(tables.values())
        plan = None
        for table in chosen:
            other = make_plan(model, tensors, table, adaptable=adaptable, include_top=include_top)
            if plan is None or other.problems < plan.problems:
                plan = other
            if not plan.problems:
                break
        assert plan is not None
        if plan.problems:
            raise Mismatch(shown or str(source), model.name, plan)
        _assign(model, tensors, plan)
    return plan


def make_plan(
    model: keras.Model,
    tensors: Tensors,
    dialect: Dialect,
    *,
    adaptable: Iterable[str] = (),
    include_top: bool = True,
) -> Plan:
    """Pair our variables with theirs, by name and shape; reads no values."""
    dialect = dialect.of_network(layer.name for layer in model.layers)
    theirs = {dialect.source_name(key): key for key in tensors.shapes}
    style = "keras" if any(key.endswith((".kernel", ".gamma")) for key in theirs) else "torch"
    plan, used = Plan(dialect), dict[str, set[int]]()
    paths = {variable.path for variable in model.weights}
    adaptable = set(adaptable)
    for variable in model.weights:
        if "seed_generator" in variable.path:
            continue
        path, shape = variable.path, tuple(variable.shape)
        name = dialect.find(path, style)
        key = next((k for k in name.keys if k in theirs), None) if name else None
        if name is None or key is None:
            plan.missing[path] = " or ".join(name.keys) if name else "no such row"
            continue
        stored = tensors.shapes[theirs[key]]
        parts = _parts(stored, shape, style) if name.layout in PART_LAYOUTS else 1
        held = (stored[0] // parts, *stored[1:]) if stored else stored
        axes = _axes(held, shape, style)
        layer = path.split("/")[0]
        used.setdefault(key, set()).add(name.part)
        if axes is None or name.part >= parts:
            if layer in adaptable:
                plan.renewed.add(layer)
            else:
                plan.differing[path] = f"file {key} {stored}, model {shape}"
            continue
        minus = ""
        if dialect.fold_bias and path.endswith("_bn/moving_mean"):
            minus = _folded_bias(dialect, path, paths, style, theirs)
            if minus:
                used.setdefault(minus, set()).add(0)
        plan.steps.append(Step(variable, theirs[key], name, axes, parts, theirs.get(minus, "")))
        if parts > 1 and name.part == parts - 1 and len(used[key]) != parts:
            plan.missing[path] = f"the other parts of {key}"
    plan.unexpected = [
        theirs[key]
        for key in theirs
        if key not in used and not dialect.ignores(key) and (include_top or key not in _head_keys(dialect, style))
    ]
    # A layer stays new as a whole: its bias may have the shape that its kernel has not.
    plan.steps = [step for step in plan.steps if step.variable.path.split("/")[0] not in plan.renewed]
    return plan


def _head_keys(dialect: Dialect, style: str) -> set[str]:
    names = [dialect.find(f"{layer}/{variable}", style) for layer in HEAD for variable in ("kernel", "bias")]
    return {key for name in names if name for key in name.keys}


def _folded_bias(dialect: Dialect, path: str, ours: set[str], style: str, theirs: Mapping[str, str]) -> str:
    bias = path.removesuffix("_bn/moving_mean") + "/bias"
    name = dialect.find(bias, style)
    return next((key for key in name.keys if key in theirs), "") if name and bias not in ours else ""


def _parts(theirs: tuple[int, ...], ours: tuple[int, ...], style: str) -> int:
    if style == "keras":
        return 1
    return max(1, theirs[0] // ours[-1]) if theirs[0] % ours[-1] == 0 else 1


def _axes(theirs: tuple[int, ...], ours: tuple[int, ...], style: str) -> tuple[int, ...] | None:
    if style == "keras":
        same = [n for n in theirs if n != 1] == [n for n in ours if n != 1]
        return tuple(range(len(theirs))) if same else None
    for axes in TORCH_AXES.get((len(theirs), len(ours)), ()):
        found = tuple(theirs[axis] for axis in axes)
        if found == ours:
            return axes
        if len(theirs) != len(ours) and [n for n in found if n != 1] == [n for n in ours if n != 1]:
            return axes
    return None


def _assign(model: keras.Model, tensors: Tensors, plan: Plan) -> None:
    layers = {layer.name: layer for layer in model.layers}
    first = next((step.variable.path for step in plan.steps if step.variable.path.endswith("kernel")), "")
    for step in plan.steps:
        layer = layers[step.variable.path.split("/")[0]]
        value = tensors.read(step.key)
        if step.parts > 1:
            value = _part(value, step.name, step.parts, layer)
        value = _ours(value, step, layer, model)
        if plan.dialect.bgr and step.variable.path == first and value.shape[2] == 3:
            value = value[:, :, ::-1]
        if step.minus:
            value = value - tensors.read(step.minus)
        if plan.dialect.epsilon is not None and step.variable.path.endswith("moving_variance"):
            value = value + (plan.dialect.epsilon - getattr(layer, "epsilon", BN_EPSILON))
        step.variable.assign(np.ascontiguousarray(value))


def _ours(value: np.ndarray, step: Step, layer: Any, model: keras.Model) -> np.ndarray:
    shape = tuple(step.variable.shape)
    if step.name.layout == "flatten" and value.ndim == 2:
        height, width, channels = model.get_layer("flatten").input.shape[1:]
        value = value.reshape(-1, channels, height, width).transpose(2, 3, 1, 0)
        return value.reshape(shape)
    value = value.transpose(step.axes).reshape(shape)
    return value[:, :, ::-1] if step.name.layout == "swap_inputs" else value


def _part(value: np.ndarray, name: Name, parts: int, layer: Any) -> np.ndarray:
    groups = getattr(layer, "groups", 1) if name.layout == "grouped_part" else 1
    split = value.reshape(groups, parts, -1, *value.shape[1:])
    return split[:, name.part].reshape(-1, *value.shape[1:])


def to_state_dict(model: keras.Model, dialect: str | None = None) -> dict[str, np.ndarray]:
    """The model's weights as another collection names and lays them out: what torch's `load_state_dict` takes.

    Args:
        model: Of the zoo.
        dialect: Table to follow, such as "timm.resnet"; None takes the first torch table that knows every layer. A
            collection's own name ("timm") takes its first.

    Raises: ValueError where no table, or not the one asked for, knows every layer of the model.
    """
    tables = {name: table for name, table in dialects().items() if table.style == "torch"}
    chosen = [name for name in tables if dialect is None or name == dialect or name.startswith(f"{dialect}.")]
    if not chosen:
        raise ValueError(f"dialect={dialect!r} is no torch table. There are: {', '.join(tables)}.")
    unknown: dict[str, list[str]] = {}
    for name in chosen:
        table = tables[name].of_network(layer.name for layer in model.layers)
        variables = [variable for variable in model.weights if "seed_generator" not in variable.path]
        found = {variable.path: table.find(variable.path, "torch") for variable in variables}
        unknown[name] = [path for path, one in found.items() if one is None]
        if not unknown[name]:
            return _written(model, variables, {path: one for path, one in found.items() if one is not None})
    best = min(unknown, key=lambda name: len(unknown[name]))
    raise ValueError(f"{best} has no names for these layers of {model.name}: {'; '.join(unknown[best][:8])}")


def _written(model: keras.Model, variables: list[Any], names: Mapping[str, Name]) -> dict[str, np.ndarray]:
    layers = {layer.name: layer for layer in model.layers}
    state: dict[str, np.ndarray] = {}
    parts: dict[str, dict[int, np.ndarray]] = {}
    for variable in variables:
        name, layer = names[variable.path], layers[variable.path.split("/")[0]]
        value = _theirs(keras.ops.convert_to_numpy(variable), name, layer, model)
        if name.layout in PART_LAYOUTS:
            parts.setdefault(name.keys[0], {})[name.part] = value
            groups = getattr(layer, "groups", 1) if name.layout == "grouped_part" else 1
            split = [one.reshape(groups, 1, -1, *one.shape[1:]) for _, one in sorted(parts[name.keys[0]].items())]
            value = np.concatenate(split, axis=1).reshape(-1, *value.shape[1:])
        state[name.keys[0]] = np.ascontiguousarray(value)
    return state


def _theirs(value: np.ndarray, name: Name, layer: Any, model: keras.Model) -> np.ndarray:
    if name.layout == "swap_inputs":
        value = value[:, :, ::-1]
    if value.ndim == 2 and name.layout == "flatten":
        height, width, channels = model.get_layer("flatten").input.shape[1:]
        return value.reshape(height, width, channels, -1).transpose(3, 2, 0, 1).reshape(value.shape[1], -1)
    if value.ndim == 2:
        return value.T
    if value.ndim < 4:
        return value
    if name.layout == "linear":
        return value[0, 0].T
    if name.layout == "conv1d":
        return value[0].transpose(2, 1, 0)
    return value.transpose(2, 3, 0, 1) if name.layout == "depthwise" else value.transpose(3, 2, 0, 1)


def convert(
    source: Any,
    model: str,
    *,
    out: str | Path | None = None,
    dialect: str | None = None,
    mean: Iterable[float] | None = None,
    std: Iterable[float] | None = None,
    half: bool = False,
    **options: Any,
) -> keras.Model:
    """A model of the zoo with the weights of another collection.

    Args:
        source: A file (`.safetensors`, torch's `.pth` and its kin, the `.h5` of Keras 2, `.npz`), a Keras model such as
            one of keras.applications, or a mapping of names to arrays such as a torch state dict.
        model: Name in the zoo.
        out: Where to write the converted weights, ending in `.weights.h5`. The file remembers how the model was built
            and normalised: `kattn.zoo.create(model, weights=out)` needs no options.
        dialect: Table of names to follow; None takes the one that fits.
        mean, std: What the weights' own training normalised RGB in 0-1 with. Default: the model's.
        half: Store kernels in half precision.
        options: Of the model. What is not given and can be told from the file is: the number of classes, and of a
            ResNet its shortcuts and stem.

    Raises: FileNotFoundError; ValueError for a file that cannot be read safely, or that is of another network, with
        what is missing, unexpected and of another shape.
    """
    from kattn.zoo.builder import backbone_options
    from kattn.zoo.tables import builder, rows
    from kattn.zoo.weights.loading import save_weights

    if out is not None and not str(out).endswith(".weights.h5"):
        raise ValueError(f"out must end in .weights.h5. Received: out={str(out)!r}")
    shown = repr(str(source)) if isinstance(source, str | Path) else "the source"
    build = builder(model)
    own = {option.name for option in backbone_options(rows(model)[1])}
    options |= {key: tuple(value) for key, value in (("mean", mean), ("std", std)) if value is not None}
    with open_tensors(source) as tensors:
        if "classes" not in options and (classes := classes_of(tensors)):
            options["classes"] = classes
    variants = [v for v in VARIANTS if v.keys() <= own and not v.keys() & options.keys()]
    first: Mismatch | None = None
    for variant in variants or [{}]:
        network = build(**options, **variant)
        try:
            plan = load_tensors(network, source, dialect=dialect, shown=shown)
        except Mismatch as problem:
            if first is None or problem.plan.problems < first.plan.problems:
                first = problem
            continue
        logger.info("%s: %s follows %s; options %s", model, shown, plan.dialect.name, options | variant)
        if out is not None:
            save_weights(network, out, half=half, about={"model": model, "options": options | variant})
        return network
    assert first is not None
    raise first


def classes_of(tensors: Tensors) -> int | None:
    """The number of classes that a file's head has; None where none is found."""
    for table in dialects().values():
        heads = [table.find("logits/bias", style) for style in ("torch", "keras")]
        names = {name for head in heads if head for name in head.keys}
        for key, shape in tensors.shapes.items():
            if len(shape) == 1 and table.source_name(key) in names:
                return shape[0]
    return None
