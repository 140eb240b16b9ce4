"""A functional model's graph, call by call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import keras

from kattn.graph.inputs import as_functional, new_inputs


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


def _tensors(structure: Any) -> list[Any]:
    return [t for t in keras.tree.flatten(structure) if isinstance(t, keras.KerasTensor)]
