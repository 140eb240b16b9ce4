"""A functional model's graph, call by call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from kattn.graph.inputs import as_functional, is_functional, new_inputs, require_graph
from kattn.graph.outputs import choose_output, named_outputs
from kattn.suggest import closest


@dataclass
class Call:
    """One call of one layer or operation.

    Attributes:
        name: The layer's name; inside a nested model "model/layer". Where a layer is called several times, the second
            call that the graph runs is "layer#2", and so on.
        layer: What is called: a layer, a nested model, or an operation of `keras.ops`.
        args, kwargs: What it is called with.
        outputs: What it gives.
        kept: Further tensors that belong to the call, such as its attention.
        alias: The name that the graph gives to the layer, where another layer of it has the layer's own.
        operation: What stands in the graph: the layer, or a model of this one call under its alias.
    """

    name: str
    layer: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outputs: Any = None
    kept: Any = ()
    alias: str | None = None
    operation: Any = None

    def run(self, layer: Any = None) -> Any:
        """Call the layer, or another one in its place."""
        self.operation = self.layer if layer is None else layer
        if self.alias is None:
            return self.operation(*self.args, **self.kwargs)
        flat = keras.tree.flatten((self.args, self.kwargs))
        given = {i: t for i, t in enumerate(flat) if isinstance(t, keras.KerasTensor)}
        new = {i: keras.Input(batch_shape=t.shape, dtype=t.dtype) for i, t in given.items()}
        args, kwargs = keras.tree.pack_sequence_as(
            (self.args, self.kwargs), [new.get(i, value) for i, value in enumerate(flat)]
        )
        self.operation = keras.Model(list(new.values()), self.operation(*args, **kwargs), name=self.alias)
        return self.operation(list(given.values()))

    @property
    def inputs(self) -> list[Any]:
        """The Keras tensors among the arguments, in order."""
        return _tensors((self.args, self.kwargs))

    @property
    def results(self) -> list[Any]:
        """The Keras tensors that the call gives, in order."""
        return _tensors(self.outputs)

    @property
    def gives_map(self) -> bool:
        """Whether the call gives one feature map."""
        return len(self.results) == 1 and is_map(self.results[0])


Make = Callable[[Call], Any]


def follow(
    model: keras.Model, make: Make = Call.run, *, inputs: Any = None, prefix: str = "", name: str | None = None
) -> keras.Model:
    """Make a model's calls once more, in the order in which its graph runs, on new inputs.

    The layers are the model's own, and the model is left as it is. A nested model is one call.

    Args:
        model: Functional, or Sequential and built.
        make: Makes a call and returns its outputs. It may return other tensors for the calls behind to take.
        inputs: New input tensors in the structure of the model's inputs. None: `new_inputs(model)`.
        prefix: What the names of the calls begin with.
        name: Of the model that is returned. None: the model's own.

    Returns: a functional model from the new inputs to what the calls gave. It is not compiled.
    """
    counts: Counter[str] = Counter()

    def run(layer: Any, *args: Any, **kwargs: Any) -> Any:
        counts[layer.name] += 1
        number = f"#{counts[layer.name]}" if counts[layer.name] > 1 else ""
        call = Call(f"{prefix}{layer.name}{number}", layer, args, kwargs)
        call.outputs = make(call)
        return call.outputs

    return keras.models.clone_model(
        as_functional(model, name),
        input_tensors=new_inputs(model) if inputs is None else inputs,
        clone_function=lambda layer: layer,
        call_function=run,
    )


class Graph:
    """The layer calls of a model of one image, with nested models opened: what every explanation starts from.

    The layers are the model's own: nothing is copied, and the model is left as it is. Where layers of different models
    have one name, all but the first go by an alias, because Keras wants each name once.

    Args:
        model: A functional or built Sequential model of one input.
        output: Name or index of the output to look at; None is "predictions" where there is such a one, else the first.
        image_shape: (height, width, channels), for a model that leaves them open.
        visit: Makes a call, and gives what the layers behind it shall take; None makes every call as it is.

    Attributes:
        image: The input tensor.
        output: The output looked at.
        outputs: All outputs by name.
        calls: In order.

    Raises: ValueError for a model that is no graph, has several inputs, or has no such output.
    """

    def __init__(
        self,
        model: Any,
        *,
        output: str | int | None = None,
        image_shape: Sequence[int] | None = None,
        visit: Make | None = None,
    ) -> None:
        require_graph(model)
        self.name = model.name
        image = model.inputs[0]
        shape = tuple(image.shape[1:]) if image_shape is None else tuple(image_shape)
        self.image = keras.Input(shape, dtype=image.dtype, name=image.name)
        names = {self.image.name: id(self.image)}
        outputs, self.calls = _opened(model, visit or Call.run, [self.image], "", names)
        self.outputs = named_outputs(model, outputs)
        self.output_name = choose_output(self.outputs, output, model.name)
        self.output = self.outputs[self.output_name]

    def model(self, outputs: Any) -> keras.Model:
        """From the image to these tensors."""
        return keras.Model(self.image, outputs, name=self.name)

    def find(self, name: str, among: Sequence[Call] | None = None, what: str = "layer") -> Call:
        """The call of this name; of a layer inside a nested model its own name is enough where only one has it.

        Raises: ValueError for a name that is not there (with the closest).
        """
        calls = self.calls if among is None else among
        exact = [call for call in calls if call.name == name]
        found = exact or [call for call in calls if call.name.rsplit("/", 1)[-1] == name]
        if len(found) == 1:
            return found[0]
        if found:
            raise ValueError(f"{name!r} is in several places: {', '.join(call.name for call in found)}. Name one.")
        names = [call.name for call in calls]
        close = closest(name, names) or names[-5:]
        raise ValueError(f"model {self.name!r} has no {what} {name!r}; closest: {', '.join(close) or 'none at all'}.")

    def source_of(self, tensor: Any) -> Call | None:
        """The call that gives a tensor; None for the image and for what a bare operation gives."""
        return next((call for call in self.calls if any(t is tensor for t in call.results)), None)

    def maps(self) -> list[Call]:
        """The calls that give one feature map, (batch, height, width, channels), and lead to the output."""
        needed = {id(operation) for operation in self.model(self.output).operations}
        return [call for call in self.calls if is_map(call.outputs) and id(call.operation) in needed]


def free_name(name: str, taken: Collection[str]) -> str:
    """A name for a layer from the name of a call; where it is taken, with a number behind it."""
    base = found = name.replace("/", "_").replace("#", "_")
    number = 1
    while found in taken:
        number += 1
        found = f"{base}_{number}"
    return found


def is_map(tensor: Any) -> bool:
    """Whether something is one Keras tensor (batch, height, width, channels)."""
    return isinstance(tensor, keras.KerasTensor) and len(tensor.shape) == 4


def _opened(
    model: keras.Model, make: Make, inputs: Sequence[Any], prefix: str, names: dict[str, int]
) -> tuple[Any, list[Call]]:
    """A model's outputs on new inputs, and its layer calls with those of nested models among them.

    `names` has the name of each layer and operation that the graph has so far, with the layer's id.
    """
    calls: list[Call] = []

    def visit(call: Call) -> Any:
        if is_functional(call.layer):
            outputs, inner = _inlined(call.layer, make, keras.tree.flatten(call.args[0]), f"{call.name}/", names)
            calls.extend(inner)
            return outputs
        if names.setdefault(call.layer.name, id(call.layer)) != id(call.layer):
            call.alias = free_name(call.name, names)
            names[call.alias] = 0
        if not isinstance(call.layer, keras.Layer):
            return call.run()
        calls.append(call)
        return make(call)

    model = as_functional(model)
    given = keras.tree.pack_sequence_as(model.input, list(inputs))
    return follow(model, visit, inputs=given, prefix=prefix).output, calls


def _inlined(
    model: keras.Model, make: Make, inputs: Sequence[Any], prefix: str, names: dict[str, int]
) -> tuple[Any, list[Call]]:
    """A nested model's calls as calls of the graph around it.

    Its graph is followed by itself first. The function from its inputs to all its tensors is then called by `call`,
    which, unlike calling the model, makes its calls one by one in the graph around it.
    """
    start = [keras.Input(batch_shape=t.shape, dtype=t.dtype) for t in model.inputs]
    outputs, calls = _opened(model, make, start, prefix, names)
    inner = [t for call in calls for t in keras.tree.flatten((call.args, call.kwargs, call.outputs, call.kept))]
    tensors = {id(t): t for t in [*inner, *keras.tree.flatten(outputs)] if isinstance(t, keras.KerasTensor)}
    new = {id(old): given for old, given in zip(start, inputs, strict=True)}
    made = {key: t for key, t in tensors.items() if key not in new}
    wide = keras.Model(start, list(made.values()))
    new |= dict(zip(made, keras.tree.flatten(wide.call(list(inputs))), strict=True))

    def moved(structure: Any) -> Any:
        return keras.tree.map_structure(lambda t: new.get(id(t), t), structure)

    for call in calls:
        call.args, call.kwargs = moved(call.args), moved(call.kwargs)
        call.outputs, call.kept = moved(call.outputs), moved(call.kept)
    return moved(outputs), calls


def _tensors(structure: Any) -> list[Any]:
    return [t for t in keras.tree.flatten(structure) if isinstance(t, keras.KerasTensor)]
