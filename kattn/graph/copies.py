"""Copies of a model: the same calls on new layers with the same values, with changes to some of them."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras

from kattn.graph.calls import Call, Make, follow
from kattn.graph.inputs import is_functional, new_inputs
from kattn.graph.inside import all_inside, freeze, model_inside

Recipe = Callable[[Call, dict[str, Any]], tuple[type[keras.Layer], dict[str, Any]]]


class WeightShapeError(ValueError):
    """A weight of a copy has another shape than the original's.

    Attributes:
        weight: The original's.
        shape: The copy's.
    """

    def __init__(self, weight: Any, shape: tuple[int, ...]) -> None:
        self.weight, self.shape = weight, shape
        super().__init__(f"weight {weight.path} of shape {tuple(weight.shape)} does not fit a copy of shape {shape}.")


def same_layer(call: Call, config: dict[str, Any]) -> tuple[type[keras.Layer], dict[str, Any]]:
    """The class and the configuration of an exact copy of the layer that is called."""
    return type(call.layer), config


def copy_model(
    model: keras.Model,
    *,
    recipe: Recipe = same_layer,
    make: Make = Call.run,
    inputs: Any = None,
    name: str | None = None,
) -> tuple[keras.Model, list[tuple[keras.Layer, keras.Layer]]]:
    """A copy of a model with its values, models nested in it copied alike.

    A layer that is called several times is copied once, also where a model shares it with one nested in it. The model
    inside a TimeDistributed is a nested model. Operations of `keras.ops` have no state: they are taken as they are.

    Args:
        model: Functional, or Sequential and built. It is left as it is.
        recipe: Gives the class and the configuration of a layer's copy, from the layer's first call, whose arguments
            are the copy's, and from the layer's own configuration.
        make: Makes a call of a copy and returns what the calls behind it take: the place for changes.
        inputs: New input tensors in the structure of the model's inputs. None: inputs of the same names and shapes.
        name: Of the copy. None: the model's own.

    Returns: the copy, which is functional and not compiled, and the pairs (layer, its copy) in the order of the calls,
        of those that were called.
    Raises: ValueError for a layer that its configuration does not make anew; WeightShapeError, a ValueError, where a
        weight gets another shape.
    """
    copies: dict[int, Any] = {}
    pairs: list[tuple[keras.Layer, keras.Layer]] = []

    def nested_copy(old: keras.Model, prefix: str) -> keras.Model:
        if id(old) not in copies:
            copies[id(old)] = new_model(old, prefix)
        return copies[id(old)]

    def copy_of(call: Call) -> Any:
        layer = call.layer
        if is_functional(layer):
            return nested_copy(layer, f"{call.name}/")
        if id(layer) not in copies:
            with _explained(layer):
                config = layer.get_config()
            kind, config = recipe(call, config)
            if (inner := model_inside(layer)) is not None:
                config["layer"] = nested_copy(inner, f"{call.name}/")
            copies[id(layer)] = copy_layer(layer, kind, config)
            pairs.extend([(layer, copies[id(layer)])] if inner is None else [])
        return copies[id(layer)]

    def new_model(old: keras.Model, prefix: str, inputs: Any = None, name: str | None = None) -> keras.Model:
        def visit(call: Call) -> Any:
            if isinstance(call.layer, keras.Layer):
                call.layer = copy_of(call)
            return make(call)

        given = new_inputs(old) if inputs is None else inputs
        return follow(old, visit, inputs=given, prefix=prefix, name=name)

    new = new_model(model, "", inputs, name)
    pairs = [(old, copy) for old, copy in pairs if copy.built]
    for old, copy in pairs:
        assign_state(copy, old)
        if not old.trainable:
            freeze(copy)
    return new, pairs


def copy_layer(
    layer: keras.Layer, kind: type[keras.Layer] | None = None, config: dict[str, Any] | None = None
) -> keras.Layer:
    """A new layer like a given one, with values of its own.

    Args:
        layer: To copy.
        kind, config: Class and configuration of the copy. None: the layer's own.

    Raises: ValueError for a layer that its configuration does not make anew.
    """
    with _explained(layer):
        kind = type(layer) if kind is None else kind
        config = layer.get_config() if config is None else config
        left_out = {"name", "trainable", "dtype"} - accepted(kind, ("name", "trainable", "dtype"))
        config = {key: value for key, value in config.items() if key not in left_out}
        wraps_model = isinstance(config.get("layer"), keras.Model)  # the model itself, not its configuration
        new = kind(**config) if wraps_model else kind.from_config(config)
        new.name = layer.name
    return new


@contextlib.contextmanager
def _explained(layer: keras.Layer) -> Iterator[None]:
    """Turn whatever goes wrong with a layer's configuration into one clear error."""
    try:
        yield
    except Exception as problem:  # the layer of a user may fail in any way
        reason = " ".join(str(problem).split())[:200]
        raise ValueError(
            f"layer {layer.name!r} ({type(layer).__name__}) cannot be copied: its get_config and from_config do not "
            f"make it anew ({type(problem).__name__}: {reason})."
        ) from problem


def accepted(source: Any, names: Iterable[str]) -> set[str]:
    """Which of some arguments a class or function takes by keyword."""
    while isinstance(source, functools.partial):
        source = source.func
    if isinstance(source, type):
        source = getattr(source, "__init__", source)  # the signature of a layer class is that of Keras's __new__
    try:
        taken = inspect.signature(source).parameters
    except (TypeError, ValueError):  # written in C
        return set()
    anything = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in taken.values())
    return set(names) if anything else set(names) & set(taken)


def assign_state(target: keras.Layer, source: keras.Layer) -> None:
    """Give a copy of a layer or model, built from its configuration, the values of the original.

    Preprocessing layers compute with tensors that they derive from their variables once (an adapted Normalization its
    mean and variance): these are derived anew.

    Args:
        target: The copy.
        source: The original, with the same variables in the same order.

    Raises: WeightShapeError for a variable of another shape.
    """
    for mine, theirs in zip(target.variables, source.variables, strict=True):
        if tuple(mine.shape) != tuple(theirs.shape):
            raise WeightShapeError(theirs, tuple(mine.shape))
        mine.assign(keras.ops.convert_to_numpy(theirs))
    for layer in all_inside(target):
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()
