"""Which tensor of a file goes into which variable of a model: by name and shape, before any value is read.

Which of their names is which of ours is data (`dialects.py` and the tables in `names/`). A plan is complete when every
tensor of the file is used exactly once and every variable has one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras

from kattn.zoo.weights.agreement import OtherNetwork
from kattn.zoo.weights.files.foreign_files import Tensors
from kattn.zoo.weights.naming.dialects import SUFFIXES, Dialect, Name
from kattn.zoo.weights.naming.layouts import Shape, axes_to_ours, count_parts, differs_only_in
from kattn.zoo.weights.naming.recognition import HEAD, find_head, head_keys


@dataclass(frozen=True)
class Step:
    """One variable of the model and where its value comes from.

    Attributes:
        variable: Ours.
        key: Theirs.
        name: What the table says of it.
        axes: The order of their axes here.
        parts: How many of ours their tensor holds.
        minus: Their tensor that is subtracted, a bias that goes into a moving mean; empty for none.
    """

    variable: Any
    key: str
    name: Name
    axes: tuple[int, ...]
    parts: int = 1
    minus: str = ""


@dataclass
class Plan:
    """How a file's tensors go into a model; complete when there are no problems.

    Attributes:
        dialect: The table that it follows.
        steps: What is loaded.
        missing: Our variables that the file does not have, with the names looked for.
        unexpected: The file's tensors that have no place.
        differing: Our variables whose tensor has another shape, with both shapes.
        renewed: Layers that stay new: the file has none, or of another number of classes or channels.
        left_out: The file's tensors that were not of the network, or of a head that stays new.
    """

    dialect: Dialect
    steps: list[Step] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    unexpected: list[str] = field(default_factory=list)
    differing: dict[str, str] = field(default_factory=dict)
    renewed: set[str] = field(default_factory=set)
    left_out: list[str] = field(default_factory=list)

    @property
    def problems(self) -> int:
        """How many tensors find no partner."""
        return len(self.missing) + len(self.unexpected) + len(self.differing)


class Mismatch(OtherNetwork):
    """The file is of another network; `plan` tells how far the best table went."""

    def __init__(self, shown: str, model: str, plan: Plan) -> None:
        self.plan = plan
        lines = [f"{shown} is not of {model} (names compared: {plan.dialect.name})."]
        lines += listing("missing in the file", [f"{ours} ({theirs})" for ours, theirs in plan.missing.items()])
        lines += listing("not in the model", plan.unexpected)
        lines += listing("of another shape", [f"{ours}: {text}" for ours, text in plan.differing.items()])
        lines += listing("left out of the file", plan.left_out)
        lines += [hint for hint in (_hint(plan),) if hint]
        super().__init__("\n  ".join(lines))


def listing(title: str, entries: list[str], most: int = 8) -> list[str]:
    """One line of a message: so many entries, and how many more there are; no line without entries."""
    more = [f"... and {len(entries) - most} more"] if len(entries) > most else []
    return [f"{title} ({len(entries)}): {'; '.join([*entries[:most], *more])}"] if entries else []


def _hint(plan: Plan) -> str:
    if plan.missing and not plan.unexpected and all("_shortcut" in path for path in plan.missing):
        return 'The file has no weights in its shortcuts: build the model with shortcut="A".'
    if any(path.startswith("stem_") for path in plan.missing):
        return "The stem is another one: see stem_widths and shortcut of the ResNets."
    if any("squeeze_excite/" in path for path in plan.differing):
        return "The gates have other widths: see reduction, and divisor=8 of timm's SE-networks."
    if plan.missing and all(path.startswith(f"{HEAD}/") for path in plan.missing):
        return "The file has no head of this kind: classes=... builds a new one, include_top=False none."
    return ""


def make_plan(
    model: keras.Model,
    tensors: Tensors,
    dialect: Dialect,
    *,
    adaptable: Mapping[str, int] | None = None,
    include_top: bool = True,
) -> Plan:
    """Pair our variables with theirs, by name and shape; reads no values.

    Args:
        model: Built.
        tensors: Of the file.
        dialect: The table of names to follow.
        adaptable: Layers that may stay new where theirs differs in one axis (-1: the last of ours), and that axis.
        include_top: False lets the file have a head that the model does not.
    """
    pairing = _Pairing(model, tensors, dialect, adaptable or {})
    for variable in model.weights:
        if "seed_generator" not in variable.path:
            pairing.place(variable)
    pairing.place_head()
    return pairing.finished(include_top)


class _Pairing:
    """A plan that is being made."""

    def __init__(self, model: keras.Model, tensors: Tensors, dialect: Dialect, adaptable: Mapping[str, int]) -> None:
        self.model, self.tensors, self.adaptable = model, tensors, adaptable
        self.dialect = dialect.of_network(layer.name for layer in model.layers)
        self.theirs = {dialect.source_name(key): key for key in tensors.shapes}
        self.style = "keras" if any(key.endswith((".kernel", ".gamma")) for key in self.theirs) else "torch"
        self.paths = {variable.path for variable in model.weights}
        self.used: dict[str, set[int]] = {}  # their names as the rules know them; the parts of each
        self.plan = Plan(self.dialect)

    def place(self, variable: Any, name: Name | None = None) -> None:
        """Find the partner of one of our variables, by the table or under the name given."""
        name = name or self.dialect.find(variable.path, self.style)
        key = next((key for key in name.keys if key in self.theirs), None) if name else None
        if name is None or key is None:
            self.plan.missing[variable.path] = " or ".join(name.keys) if name else "no such row"
        else:
            self._pair(variable, name, key)

    def _pair(self, variable: Any, name: Name, key: str) -> None:
        path, shape, stored = variable.path, tuple(variable.shape), self.tensors.shapes[self.theirs[key]]
        parts = count_parts(stored, shape, name.layout, self.style)
        held = (stored[0] // parts, *stored[1:]) if stored else stored
        axes = axes_to_ours(held, shape, self.style)
        self.used.setdefault(key, set()).add(name.part)
        if axes is None or name.part >= parts:
            layer = path.split("/")[0]
            if layer in self.adaptable and differs_only_in(self.adaptable[layer], held, shape, self.style):
                self.plan.renewed.add(layer)
            else:
                self.plan.differing[path] = f"file {key} {stored}, model {shape}"
            return
        minus = self._bias_before(path)
        if minus:
            self.used.setdefault(minus, set()).add(0)
        self.plan.steps.append(Step(variable, self.theirs[key], name, axes, parts, self.theirs.get(minus, "")))
        if parts > 1 and name.part == parts - 1 and len(self.used[key]) != parts:
            self.plan.missing[path] = f"the other parts of {key}"

    def _bias_before(self, path: str) -> str:
        """Their bias that goes into this moving mean; empty where there is none."""
        if not self.dialect.fold_bias or not path.endswith("_bn/moving_mean"):
            return ""
        bias = path.removesuffix("_bn/moving_mean") + "/bias"
        name = self.dialect.find(bias, self.style)
        return next((key for key in name.keys if key in self.theirs), "") if name and bias not in self.paths else ""

    def place_head(self) -> None:
        """Pair a head whose name no row knows; one that the file lacks stays new where it may."""
        head = [variable for variable in self.model.weights if variable.path.split("/")[0] == HEAD]
        if not head or len(head[0].shape) != 2 or not all(variable.path in self.plan.missing for variable in head):
            return
        left, outside = self._left(), self._outside()
        layers = find_head(left, self.used, outside, self.style, head[0].shape[0])
        if len(layers) == 1:
            for variable in head:
                del self.plan.missing[variable.path]
                suffixes = SUFFIXES[self.style][variable.path.rpartition("/")[2]]
                self.place(variable, Name(tuple(f"{layers[0]}.{suffix}" for suffix in suffixes)))
        elif HEAD in self.adaptable and (layers or left.keys() <= outside):
            self.plan.renewed.add(HEAD)
        if HEAD in self.plan.renewed:
            self._leave_out(left.keys() - outside)

    def finished(self, include_top: bool) -> Plan:
        """The plan, when all variables have been placed."""
        plan, outside = self.plan, self._outside()
        self._leave_out(self._left().keys() & outside)
        left = self._left()
        if not include_top:
            left = {key: shape for key, shape in left.items() if key not in head_keys(self.dialect, self.style)}
            left = {} if find_head(left, self.used, outside, self.style, None) else left
        same_name = self.tensors.shapes.keys() - self.theirs.values()  # as another tensor, after the table's renaming
        plan.unexpected = [*(self.theirs[key] for key in left), *sorted(same_name - self.tensors.outside)]
        # A layer stays new as a whole: its bias may have the shape that its kernel has not.
        plan.steps = [step for step in plan.steps if step.variable.path.split("/")[0] not in plan.renewed]
        plan.missing = {path: text for path, text in plan.missing.items() if path.split("/")[0] not in plan.renewed}
        return plan

    def _left(self) -> dict[str, Shape]:
        """Their tensors that have no place yet and need one, as the rules know them."""
        shapes = {key: self.tensors.shapes[theirs] for key, theirs in self.theirs.items() if key not in self.used}
        return {key: shape for key, shape in shapes.items() if not self.dialect.ignores(key)}

    def _outside(self) -> set[str]:
        return {key for key, theirs in self.theirs.items() if theirs in self.tensors.outside}

    def _leave_out(self, keys: Iterable[str]) -> None:
        for key in sorted(keys):
            if key not in self.used:
                self.used[key] = {0}
                self.plan.left_out.append(self.theirs[key])
