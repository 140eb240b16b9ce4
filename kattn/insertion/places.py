"""Where attention can go in a functional model that is already there: its calls, and the places that a word means."""

from __future__ import annotations

import difflib
import fnmatch
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from kattn.graph import calls as graph

Where = str | Callable[[Any], bool] | Sequence[Any]
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


@dataclass
class _Call:
    name: str
    operation: Any
    inputs: list[Any]
    outputs: list[Any]

    @property
    def kind(self) -> str:
        return type(self.operation).__name__


def copied(model: keras.Model, size: int | None = None, **options: Any) -> keras.Model:
    """`clone_model` of a functional model without its compilation, with inputs of the same names.

    Args:
        model: To copy.
        size: Height and width of maps that the model's inputs leave open; None leaves them open too.
        options: Of `clone_model`.
    """
    names = {id(layer.output): layer.name for layer in model.layers if isinstance(layer, keras.layers.InputLayer)}

    def same_input(t: Any) -> Any:
        shape = tuple(t.shape)
        if len(shape) == 4:
            shape = (shape[0], *(size if n is None else n for n in shape[1:3]), shape[3])
        return keras.Input(batch_shape=shape, dtype=t.dtype, name=names.get(id(t), t.name))

    inputs = keras.tree.map_structure(same_input, model.input)
    bare = keras.Model(model.input, model.output, name=model.name)
    return keras.models.clone_model(bare, input_tensors=inputs, **options)


def is_functional(model: Any) -> bool:
    """Whether a model is a graph that can be cloned call by call."""
    return graph.is_functional(model) and not isinstance(model, keras.Sequential)


class CallNames:
    """Names of a model's calls, in the order in which Keras makes them."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.counts: Counter[str] = Counter()

    def next(self, operation: Any) -> str:
        """The name of the next call of a layer or operation."""
        self.counts[operation.name] += 1
        number = self.counts[operation.name]
        return f"{self.prefix}{operation.name}" + (f"#{number}" if number > 1 else "")


class Level:
    """The calls of one model in order, without those inside the models nested in it.

    The layers are called once more on new input tensors; the model stays as it is.
    """

    def __init__(self, model: keras.Model, prefix: str = "") -> None:
        self.calls: list[_Call] = []
        self.nested: dict[str, keras.Model] = {}
        names = CallNames(prefix)

        def record(operation: Any, *args: Any, **kwargs: Any) -> Any:
            name = names.next(operation)
            outputs = operation(*args, **kwargs)
            self.calls.append(_Call(name, operation, _tensors((args, kwargs)), _tensors(outputs)))
            if is_functional(operation) and "#" not in name:
                self.nested[name] = operation
            return outputs

        traced = copied(model, TRACED_SIZE, clone_function=_same, call_function=record)
        self.inputs, self.outputs = _tensors(traced.input), _tensors(traced.output)
        self._follow()

    def _follow(self) -> None:
        """For every tensor the calls before it, as a set of bits, and who takes it."""
        self.before: dict[int, int] = {id(t): 0 for t in self.inputs}
        self.made_by: dict[int, int] = {}
        self.takers: dict[int, list[int]] = {}
        for i, call in enumerate(self.calls):
            earlier = 1 << i
            for t in call.inputs:
                earlier |= self.before.get(id(t), 0)
                self.takers.setdefault(id(t), []).append(i)
            for t in call.outputs:
                self.before[id(t)] = earlier
                self.made_by[id(t)] = i

    def after(self, call: _Call) -> Place:
        """What a call gives."""
        return Place(call.name, None, tuple(call.outputs[0].shape[1:]))

    def merges(self) -> Iterator[tuple[_Call, list[int]]]:
        """The calls in which a branch meets what it branched from, and which of their inputs are branches."""
        for call in self.calls:
            shapes = {tuple(t.shape) for t in call.inputs}
            maps = len(call.inputs) > 1 and all(len(shape) == 4 for shape in shapes)
            if not maps or call.kind == "Multiply" or (len(shapes) > 1 and call.kind != "Concatenate"):
                continue
            befores = [self.before[id(t)] for t in call.inputs]
            common = befores[0]
            for one in befores[1:]:
                common &= one
            lengths = [(one & ~common).bit_count() for one in befores]
            # A shortcut is what the branches come from, or a shorter way than they are; a concatenation has no
            # projection in its shortcut, else the branches of an Inception block would count.
            shortest = min(lengths)
            if (call.kind == "Concatenate" and shortest > 0) or lengths.count(shortest) != 1:
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
            while len(takers := self.takers.get(id(call.outputs[0]), [])) == 1:
                after = self.calls[takers[0]]
                if not isinstance(after.operation, ACTIVATIONS):
                    break
                call = after
            yield self.after(call)

    def between_stages(self) -> Iterator[Place]:
        """The last map of every resolution but the last, of those that all ways to the output pass."""
        trunk = [call for call in self._trunk() if len(call.outputs[0].shape) == 4]
        for i, call in enumerate(trunk[:-1]):
            following = trunk[i + 1]
            if 2 * _area(following.outputs[0]) > _area(call.outputs[0]) or following.kind.startswith("Global"):
                continue
            while isinstance(call.operation, PADDINGS) and i:
                i -= 1
                call = trunk[i]
            call = self._before_expansion(call)
            done = self.before[id(call.outputs[0])]
            earlier = (self.calls[j].operation for j in range(len(self.calls)) if done >> j & 1)
            if any(getattr(operation, "trainable_weights", ()) for operation in earlier):
                yield self.after(call)

    def _before_expansion(self, call: _Call) -> _Call:
        """What an inverted residual block widens before it strides; other calls as they are.

        The pointwise convolution behind a linear bottleneck (MobileNetV2 and its kin) belongs to the block that
        follows. Behind an activation it is the end of its own block (MobileNet v1).
        """
        widened = call
        while isinstance(widened.operation, (*ACTIVATIONS, keras.layers.BatchNormalization)):
            widened = self.calls[self.made_by[id(widened.inputs[0])]]
        conv = widened.operation
        if not isinstance(conv, keras.layers.Conv2D) or conv.kernel_size != (1, 1):
            return call
        source = self.made_by.get(id(widened.inputs[0]))
        if source is None or isinstance(self.calls[source].operation, ACTIVATIONS):
            return call
        return self.calls[source] if conv.filters > widened.inputs[0].shape[-1] else call

    def _trunk(self) -> Iterator[_Call]:
        last = {id(t): max(self.takers.get(id(t), [-1]), default=-1) for t in [*self.inputs, *_all_outputs(self.calls)]}
        for t in self.outputs:
            last[id(t)] = len(self.calls)
        furthest = max((last[id(t)] for t in self.inputs), default=-1)
        for i, call in enumerate(self.calls):
            # Nothing made before this call is taken behind it: every way passes here.
            if furthest <= i and len(call.outputs) == 1:
                yield call
            furthest = max([furthest, *(last[id(t)] for t in call.outputs)])


SITES: dict[str, Callable[[Level], Iterator[Place]]] = {
    "residual": Level.residual,
    "output": Level.output,
    "between_stages": Level.between_stages,
}


def find_places(model: keras.Model, where: Where) -> list[Place]:
    """The places that `where` means in a model and the models nested in it, in order.

    Args:
        model: Functional.
        where: A site word, the name of a layer or call, a glob, a predicate on layers, or several of these.

    Raises: ValueError where nothing is found, with the closest names; TypeError for anything else.
    """
    levels = list(_levels(model, ""))
    chosen = [where] if isinstance(where, str) or callable(where) else list(where) if _is_list(where) else None
    if not chosen or not all(isinstance(one, str) or callable(one) for one in chosen):
        raise TypeError(
            f"where must be one of {', '.join(map(repr, SITES))}, the name of a layer, a glob, a function of a layer, "
            f"or a list of these. Received: where={where!r}"
        )
    found: dict[Place, None] = {}
    for one in chosen:
        places = [place for level in levels for place in _places(level, one)]
        if not places:
            raise ValueError(_nothing(model, levels, one))
        found |= dict.fromkeys(places)
    return list(found)


def _levels(model: keras.Model, prefix: str) -> Iterator[Level]:
    level = Level(model, prefix)
    for name, nested in level.nested.items():
        yield from _levels(nested, f"{name}/")
    yield level


def _places(level: Level, where: Any) -> Iterable[Place]:
    if isinstance(where, str) and where in SITES:
        return SITES[where](level)
    if callable(where):
        layers = [call for call in level.calls if isinstance(call.operation, keras.Layer) and where(call.operation)]
        return [level.after(call) for call in layers if _is_map(call)]
    if any(letter in where for letter in "*?["):
        return [level.after(call) for call in level.calls if fnmatch.fnmatchcase(call.name, where) and _is_map(call)]
    exact = [call for call in level.calls if where in (call.name, call.name.partition("#")[0])]
    wrong = next((call for call in exact if not _is_map(call)), None)
    if wrong is not None:
        shapes = ", ".join(str(tuple(t.shape)) for t in wrong.outputs)
        raise ValueError(
            f"attention stands behind feature maps (batch, height, width, channels); {where!r} gives {shapes}."
        )
    return [level.after(call) for call in exact]


def _nothing(model: keras.Model, levels: list[Level], where: Any) -> str:
    if callable(where):
        return f"{model.name} has no feature map behind a layer for which the function given as where is true."
    if where in SITES:
        others = [f"{name!r} ({n})" for name, find in SITES.items() if (n := sum(len(list(find(x))) for x in levels))]
        return (
            f"{model.name} has no place {where!r}. It has: {', '.join(others) or 'none of the site words'}; or name a "
            "layer, or give a glob."
        )
    names = [call.name for level in levels for call in level.calls]
    close = difflib.get_close_matches(where, [*names, *SITES], n=3, cutoff=0.4) or names[:3]
    return f"where={where!r} matches nothing in {model.name}; closest: {', '.join(close)}."


def _is_map(call: _Call) -> bool:
    return len(call.outputs) == 1 and len(call.outputs[0].shape) == 4


def _is_list(where: Any) -> bool:
    return isinstance(where, (list, tuple, set, frozenset))


def _same(operation: Any) -> Any:
    return operation


def _tensors(structure: Any) -> list[Any]:
    return [t for t in keras.tree.flatten(structure) if isinstance(t, keras.KerasTensor)]


def _all_outputs(calls: list[_Call]) -> Iterator[Any]:
    for call in calls:
        yield from call.outputs


def _area(t: Any) -> int:
    return int(t.shape[1]) * int(t.shape[2])
