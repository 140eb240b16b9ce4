"""What can be read as a graph, and new inputs to follow it from."""

from __future__ import annotations

from typing import Any

import keras


def is_functional(model: Any) -> bool:
    """Whether something is a functional or a built Sequential model, whose graph can be read."""
    if not isinstance(model, keras.Model):
        return False
    try:
        return bool(model.inputs) and bool(model.outputs)
    except (AttributeError, ValueError):
        return False


def require_functional(model: Any, task: str) -> None:
    """Raise ValueError where a model's graph cannot be read.

    Args:
        model: What came.
        task: What needs the graph, as the subject of the sentence: "An explanation".
    """
    if is_functional(model):
        return
    if isinstance(model, keras.Sequential):
        advice = "It is not built: start it with keras.Input(shape), or call model.build(shape)."
    else:
        advice = "Wrap a subclassed model: x = keras.Input(shape); keras.Model(x, model.call(x))."
    raise ValueError(
        f"{task} needs a functional or a built Sequential Keras model, whose graph can be read. "
        f"Received: {type(model).__name__} {getattr(model, 'name', '')!r}. {advice}"
    )


def require_graph(model: Any) -> None:
    """Raise ValueError where an explanation cannot read a model: no graph, or several inputs."""
    require_functional(model, "An explanation")
    if len(model.inputs) != 1:
        raise ValueError(f"An explanation needs a model of one input; {model.name!r} has {len(model.inputs)}.")


def as_functional(model: keras.Model, name: str | None = None) -> keras.Model:
    """The graph of a functional or built Sequential model as a functional model that is not compiled, with its layers.

    Args:
        model: It is left as it is.
        name: Of the functional model. None: the model's own.
    """
    single = isinstance(model, keras.Sequential)
    inputs, outputs = (model.inputs[0], model.outputs[0]) if single else (model.input, model.output)
    return keras.Model(inputs, outputs, name=name or model.name)


def new_inputs(model: keras.Model, size: int | None = None) -> Any:
    """New inputs with the names, shapes and dtypes of a model's own, in the same structure.

    Args:
        model: Functional, or Sequential and built.
        size: Height and width of those maps whose size the model leaves open. None: they stay open.
    """
    model = as_functional(model)
    names = {id(layer.output): layer.name for layer in model.layers if isinstance(layer, keras.layers.InputLayer)}

    def same(tensor: Any) -> Any:
        shape = tuple(tensor.shape)
        if len(shape) == 4:
            shape = (shape[0], *(size if n is None else n for n in shape[1:3]), shape[3])
        return keras.Input(batch_shape=shape, dtype=tensor.dtype, name=names.get(id(tensor), tensor.name))

    return keras.tree.map_structure(same, model.input)
