"""A functional model's graph, call by call, with nested models opened: what every explanation starts from."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from kattn.graph.targets import MAIN_OUTPUT


@dataclass
class Call:
    """One call of one layer.

    Attributes:
        name: The layer's name; inside a nested model "model/layer"; "layer#2" where the layer is called again.
        layer: What is called.
        args, kwargs: What it is called with.
        outputs: What it gives.
        kept: Further tensors, which whoever made the call keeps with it.
    """

    name: str
    layer: keras.Layer
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outputs: Any = None
    kept: Any = ()

    def run(self) -> Any:
        """Call the layer."""
        return self.layer(*self.args, **self.kwargs)


Visit = Callable[[Call], Any]


class Graph:
    """The calls of a model in order, as Keras tensors that start from one image tensor.

    The layers are the model's own: nothing is copied, and the model is left as it is.

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
        visit: Visit | None = None,
    ) -> None:
        require_graph(model)
        self.name = model.name
        image = model.inputs[0]
        shape = tuple(image.shape[1:]) if image_shape is None else tuple(image_shape)
        self.image = keras.Input(shape, dtype=image.dtype, name=image.name)
        outputs, self.calls = _follow(model, visit or Call.run, [self.image], "")
        self.outputs = _named(model, outputs)
        self.output_name = _chosen(self.outputs, output, model.name)
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
        close = difflib.get_close_matches(name, names, n=3, cutoff=0.4) or names[-5:]
        raise ValueError(f"model {self.name!r} has no {what} {name!r}; closest: {', '.join(close) or 'none at all'}.")

    def source_of(self, tensor: Any) -> Call | None:
        """The call that gives a tensor; None for the image and for what a bare operation gives."""
        return next((c for c in self.calls if any(t is tensor for t in keras.tree.flatten(c.outputs))), None)

    def maps(self) -> list[Call]:
        """The calls that give one feature map, (batch, height, width, channels), and lead to the output."""
        needed = {id(operation) for operation in self.model(self.output).operations}
        return [call for call in self.calls if is_map(call.outputs) and id(call.layer) in needed]


def is_functional(model: Any) -> bool:
    """Whether a model's graph can be read."""
    if not isinstance(model, keras.Model):
        return False
    try:
        return bool(model.inputs) and bool(model.outputs)
    except (AttributeError, ValueError):
        return False


def require_graph(model: Any) -> None:
    """Raise ValueError where a model is no graph from one input."""
    if not is_functional(model):
        raise ValueError(
            "An explanation needs a functional or a built Sequential Keras model, whose graph can be read. "
            f"Received: {type(model).__name__} {getattr(model, 'name', '')!r}. Wrap a subclassed model: "
            "x = keras.Input(shape); keras.Model(x, model.call(x))."
        )
    if len(model.inputs) != 1:
        raise ValueError(f"An explanation needs a model of one input; {model.name!r} has {len(model.inputs)}.")


def is_map(tensor: Any) -> bool:
    """Whether something is one Keras tensor (batch, height, width, channels)."""
    return isinstance(tensor, keras.KerasTensor) and len(tensor.shape) == 4


def _follow(model: keras.Model, visit: Visit, inputs: Sequence[Any], prefix: str) -> tuple[Any, list[Call]]:
    """Make a model's calls on new input tensors: its outputs, in their structure, and the calls."""
    calls: list[Call] = []
    counts: Counter[str] = Counter()

    def make(operation: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(operation, keras.Layer):
            return operation(*args, **kwargs)
        counts[operation.name] += 1
        name = prefix + operation.name + (f"#{counts[operation.name]}" if counts[operation.name] > 1 else "")
        if is_functional(operation):
            outputs, inner = _inlined(operation, visit, keras.tree.flatten(args[0]), f"{name}/")
            calls.extend(inner)
            return outputs
        call = Call(name, operation, args, kwargs)
        call.outputs = visit(call)
        calls.append(call)
        return call.outputs

    if isinstance(model, keras.Sequential):
        x = inputs[0]
        for layer in model.layers:
            x = make(layer, x)
        return x, calls
    # Without the optimizer of a compiled model, of which a clone would get a copy.
    bare = keras.Model(model.inputs, model.output)
    given = keras.tree.pack_sequence_as(bare.input, list(inputs))
    traced = keras.models.clone_model(
        bare, input_tensors=given, clone_function=lambda operation: operation, call_function=make
    )
    return traced.output, calls


def _inlined(model: keras.Model, visit: Visit, inputs: Sequence[Any], prefix: str) -> tuple[Any, list[Call]]:
    """A nested model's calls as calls of the graph around it.

    Its graph is followed by itself first; the function from its inputs to all its tensors is then called by `call`,
    which, unlike calling the model, makes its calls one by one in the graph around it.
    """
    start = [keras.Input(batch_shape=t.shape, dtype=t.dtype) for t in model.inputs]
    outputs, calls = _follow(model, visit, start, prefix)
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


def _named(model: keras.Model, outputs: Any) -> dict[str, Any]:
    """The outputs by name: of a dict its keys, of a list the names of the layers that give them."""
    if isinstance(outputs, Mapping):
        return dict(outputs)
    flat = keras.tree.flatten(outputs)
    if len(flat) == 1:
        return {MAIN_OUTPUT: flat[0]}
    names = [str(name) for name in model.output_names]
    return {
        name if names.count(name) == 1 else f"{name}_{i}": t
        for i, (name, t) in enumerate(zip(names, flat, strict=True))
    }


def _chosen(outputs: dict[str, Any], wanted: str | int | None, model: str) -> str:
    names = list(outputs)
    if wanted is None:
        return MAIN_OUTPUT if MAIN_OUTPUT in outputs else names[0]
    if isinstance(wanted, int) and not isinstance(wanted, bool) and 0 <= wanted < len(names):
        return names[wanted]
    if wanted in outputs:
        return str(wanted)
    raise ValueError(f"model {model!r} has the outputs {', '.join(names)}. Received: output={wanted!r}")
