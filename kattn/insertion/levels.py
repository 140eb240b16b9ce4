"""The places in one model's graph where attention can stand, told from how its calls depend on each other."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras

from kattn.graph.calls import Call, follow
from kattn.graph.inputs import is_functional, new_inputs
from kattn.graph.inside import model_inside, parameters

TRACED_SIZE = 256  # height and width of the maps on which a network of open size is followed
ACTIVATIONS = (
    keras.layers.Activation,
    keras.layers.ReLU,
    keras.layers.LeakyReLU,
    keras.layers.ELU,
    keras.layers.PReLU,
    keras.layers.Dropout,
)
PADDINGS = (keras.layers.ZeroPadding2D, keras.layers.Cropping2D)


@dataclass(frozen=True)
class Place:
    """A tensor of a model behind which attention can stand.

    Attributes:
        name: The call that gives it ("add_3"; inside a nested model "model/add_3"; "conv#2" where a layer is called
            again), or, of a branch, the call that takes it.
        argument: None for what the call gives; of a branch, which of the call's input tensors it is.
        shape: (height, width, channels) of the map; of a model that leaves height and width open, at 256 x 256.
    """

    name: str
    argument: int | None
    shape: tuple[int, ...]

    def __str__(self) -> str:
        shape = "x".join(map(str, self.shape))
        return f"{'before' if self.argument is not None else 'after'} {self.name} ({shape})"


class Level:
    """The calls of one model in order; a model nested in it is one call here and has a level of its own.

    Args:
        model: Functional, or Sequential and built. It is left as it is.
        prefix: What the names of the calls begin with.

    Attributes:
        calls: In order.
        nested: The models nested in this one, by the names of their calls. A TimeDistributed's model counts.
    """

    def __init__(self, model: keras.Model, prefix: str = "") -> None:
        self.calls: list[Call] = []

        def record(call: Call) -> Any:
            self.calls.append(call)
            return call.run()

        traced = follow(model, record, inputs=new_inputs(model, TRACED_SIZE), prefix=prefix)
        self.inputs, self.outputs = traced.inputs, traced.outputs
        self.nested = {call.name: inner for call in self.calls if (inner := nested_in(call)) is not None}
        # For every tensor the calls before it, as a set of bits, which call makes it, and which calls take it.
        self.before: dict[int, int] = {id(t): 0 for t in self.inputs}
        self.made_by: dict[int, int] = {}
        self.takers: dict[int, list[int]] = {}
        for i, call in enumerate(self.calls):
            for t in call.inputs:
                self.takers.setdefault(id(t), []).append(i)
            earlier = functools.reduce(operator.or_, (self.before.get(id(t), 0) for t in call.inputs), 1 << i)
            for t in call.results:
                self.before[id(t)] = earlier
                self.made_by[id(t)] = i

    def maker(self, tensor: Any) -> Call | None:
        """The call that makes a tensor; None for an input of the model."""
        made = self.made_by.get(id(tensor))
        return None if made is None else self.calls[made]

    def merges(self) -> Iterator[tuple[Call, list[int]]]:
        """The calls in which a branch meets what it branched from, and which of their inputs are branches."""
        for call in self.calls:
            shapes = {tuple(t.shape) for t in call.inputs}
            maps = len(call.inputs) > 1 and all(len(shape) == 4 for shape in shapes)
            kind = type(call.layer).__name__
            if not maps or kind == "Multiply" or (len(shapes) > 1 and kind != "Concatenate"):
                continue
            befores = [self.before.get(id(t), 0) for t in call.inputs]
            common = functools.reduce(operator.and_, befores)
            lengths = [(one & ~common).bit_count() for one in befores]
            # A shortcut is what the branches come from, or a shorter way than they are; a concatenation has no
            # projection in its shortcut, else the branches of an Inception block would count.
            shortest = min(lengths)
            if (kind == "Concatenate" and shortest > 0) or lengths.count(shortest) != 1:
                continue
            yield call, [i for i, length in enumerate(lengths) if length > shortest]

    def residual(self) -> Iterator[Place]:
        """The end of every branch, before it joins its shortcut."""
        for call, branches in self.merges():
            yield from (Place(call.name, i, tuple(call.inputs[i].shape[1:])) for i in branches)

    def output(self) -> Iterator[Place]:
        """What every block gives, behind its activation where it has one."""
        for merge, _ in self.merges():
            call = merge
            while len(takers := self.takers.get(id(call.results[0]), [])) == 1:
                following = self.calls[takers[0]]
                if not isinstance(following.layer, ACTIVATIONS):
                    break
                call = following
            yield after(call)

    def between_stages(self) -> Iterator[Place]:
        """The last map of every resolution but the last, of those that all ways to the output pass."""
        trunk = [call for call in self._trunk() if call.gives_map and None not in call.results[0].shape[1:3]]
        for i, call in enumerate(trunk[:-1]):
            following = trunk[i + 1]
            pooled = type(following.layer).__name__.startswith("Global")
            if 2 * _area(following.results[0]) > _area(call.results[0]) or pooled:
                continue
            while isinstance(call.layer, PADDINGS) and i:
                i -= 1
                call = trunk[i]
            call = self._before_expansion(call)
            if self._is_learned(call):
                yield after(call)

    def _is_learned(self, call: Call) -> bool:
        """Whether a call gives features, and not just the image, padded, normalised or augmented.

        Features come from a kernel: a weight of two or more axes. Whether it is frozen does not matter.
        """
        done = self.before[id(call.results[0])]
        earlier = [one.layer for i, one in enumerate(self.calls) if done >> i & 1]
        layers = [one for one in earlier if isinstance(one, keras.Layer) and not isinstance(one, ACTIVATIONS)]
        return any(len(weight.shape) > 1 for layer in layers for weight in parameters(layer))

    def _before_expansion(self, call: Call) -> Call:
        """What an inverted residual block widens before it strides; other calls as they are.

        The pointwise convolution behind a linear bottleneck (MobileNetV2 and its kin) belongs to the block that
        follows. Behind an activation it is the end of its own block (MobileNet v1).
        """
        widened: Call | None = call
        while widened is not None and isinstance(widened.layer, (*ACTIVATIONS, keras.layers.BatchNormalization)):
            widened = self.maker(widened.inputs[0])
        if widened is None or not isinstance(widened.layer, keras.layers.Conv2D) or widened.layer.kernel_size != (1, 1):
            return call
        narrow = self.maker(widened.inputs[0])
        if narrow is None or isinstance(narrow.layer, ACTIVATIONS):
            return call
        return narrow if widened.layer.filters > widened.inputs[0].shape[-1] else call

    def _trunk(self) -> Iterator[Call]:
        """The calls of one result that every way from the inputs to the outputs passes."""
        tensors = [*self.inputs, *(t for call in self.calls for t in call.results)]
        last = {id(t): max(self.takers.get(id(t), [-1])) for t in tensors}
        for t in self.outputs:
            last[id(t)] = len(self.calls)
        furthest = max((last[id(t)] for t in self.inputs), default=-1)
        for i, call in enumerate(self.calls):
            # Nothing made before this call is taken behind it: every way passes here.
            if furthest <= i and len(call.results) == 1:
                yield call
            furthest = max([furthest, *(last[id(t)] for t in call.results)])


SITES: dict[str, Callable[[Level], Iterator[Place]]] = {
    "residual": Level.residual,
    "output": Level.output,
    "between_stages": Level.between_stages,
}


def levels(model: keras.Model, prefix: str = "", seen: set[int] | None = None) -> Iterator[Level]:
    """The levels of the models nested in a model, each at its first call, and last its own."""
    seen = set() if seen is None else seen
    level = Level(model, prefix)
    for name, nested in level.nested.items():
        if id(nested) not in seen:
            seen.add(id(nested))
            yield from levels(nested, f"{name}/", seen)
    yield level


def after(call: Call) -> Place:
    """The place behind a call."""
    return Place(call.name, None, tuple(call.results[0].shape[1:]))


def nested_in(call: Call) -> keras.Model | None:
    """The model that a call runs, itself or once a time step; None where it is no model whose graph can be read."""
    return call.layer if is_functional(call.layer) else model_inside(call.layer)


def _area(t: Any) -> int:
    return int(t.shape[1]) * int(t.shape[2])
