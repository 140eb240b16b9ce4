"""A model's graph with the models nested in it opened."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from kattn.graph.calls import Call, Make, follow, free_name, is_map
from kattn.graph.inputs import as_functional, is_functional, require_graph
from kattn.graph.outputs import choose_output, named_outputs
from kattn.suggest import closest


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
