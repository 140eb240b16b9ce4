"""Attention in a model that already exists, with the weights that it already has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from kattn.graph.state import assign_state
from kattn.insertion.places import CallNames, Place, Where, copied, find_places, is_functional
from kattn.layers import LAYERS, ReZero, get

STARTS = ("identity", "paper")
PROBES = 4  # random maps on which a mechanism must change nothing to count as an identity


def insert(
    model: keras.Model,
    mechanism: str | Callable[..., keras.Layer],
    where: Where = "residual",
    start: str = "identity",
    *,
    freeze_original: bool = False,
    dry_run: bool = False,
    name: str | None = None,
    **options: Any,
) -> Any:
    """A copy of a functional model with an attention block at each of some places, and all of its weights.

    >>> model = keras.applications.MobileNetV2()
    >>> kattn.insert(model, "se", "residual", reduction=8)

    The copy is an ordinary functional model: it trains, saves, exports, profiles and explains like any other. It is not
    compiled. The model itself is left as it is.

    Args:
        model: Functional, of one or several inputs and outputs, with models nested in it or not.
        mechanism: Short name of a block that keeps the shape of a feature map (`kattn.layers.names()`), or a layer
            class, or any function that takes `name`, `dtype` and the options and gives a layer.
        where: "residual", the end of every branch before it joins its shortcut (an addition, or the concatenation of a
            dense block); "output", behind every block that such a joint ends; "between_stages", the last map of every
            resolution but the last; the name of a layer ("model/layer" inside a nested model); a glob such as
            "*_conv"; a function of a layer that gives whether; or a list of these.
        start: "identity": the new model gives what the old one gave, to the bit, until it is trained: where the block
            is not an identity at its own start, what it changes is added by a learned scale that starts at zero
            (`kattn.layers.ReZero`). In the first step of training only the scale moves, from the second on the block
            too. "paper": the block as its paper starts it.
        freeze_original: Only what is new is trained; the original batch normalisations then use their statistics.
        dry_run: Give the list of places and build nothing.
        name: Of the new model. Default: the model's own with the mechanism's behind it.
        options: Of the block, such as reduction=8.

    Returns: the new model; with dry_run a list of `Place`.
    Raises: ValueError for a model that is no graph, a `where` that matches nothing (with the closest names), a block
        that does not fit a map, a layer that cannot be copied; TypeError for an option that the block does not have.
    """
    _require(model)
    if start not in STARTS:
        raise ValueError(f"start must be one of {', '.join(map(repr, STARTS))}. Received: start={start!r}")
    make, title = _maker(mechanism, options)
    places = find_places(model, where)
    if dry_run:
        return places
    work = _Insertion(make, title, start, places)
    new = work.copy(model, "", name or f"{model.name}_{title}")
    for old, copy in work.pairs:
        assign_state(copy, old)
        if freeze_original:
            copy.trainable = False
    return new


def _require(model: Any) -> None:
    if is_functional(model):
        return
    kind = "a Sequential" if isinstance(model, keras.Sequential) else f"a {type(model).__name__}"
    advice = (
        "Give its layers to a functional model: keras.Model(model.inputs, model.outputs)."
        if isinstance(model, keras.Sequential)
        else "Wrap a subclassed model: x = keras.Input(shape); keras.Model(x, model.call(x))."
    )
    raise ValueError(f"insert needs a functional Keras model, whose graph can be read. Received: {kind}. {advice}")


def _maker(mechanism: Any, options: dict[str, Any]) -> tuple[Callable[..., keras.Layer], str]:
    """What makes a block by name and dtype, and the short name for it."""
    if isinstance(mechanism, keras.Layer) or not (isinstance(mechanism, str) or callable(mechanism)):
        raise ValueError(
            f"mechanism must be a short name ({', '.join(sorted(LAYERS))}), a layer class, or a function that makes a "
            f"layer: every place gets a block of its own. Received: mechanism={mechanism!r}"
        )
    if isinstance(mechanism, str):
        get(mechanism, **options)  # an unknown name or option is an error before anything is copied
        mechanism, title = LAYERS[mechanism], mechanism
        return lambda **common: mechanism(**options, **common), title
    title = getattr(mechanism, "__name__", "attention").strip("<>").lower()
    return lambda **common: mechanism(**options, **common), title


class _Insertion:
    """Copies a model, call by call, with blocks at its places."""

    def __init__(self, make: Callable[..., keras.Layer], title: str, start: str, places: list[Place]) -> None:
        self.make = make
        self.title = title
        self.start = start
        self.after = {place.name for place in places if place.argument is None}
        self.before = {(place.name, place.argument) for place in places if place.argument is not None}
        self.pairs: list[tuple[keras.Layer, keras.Layer]] = []
        self.used: set[str] = set()

    def copy(self, model: keras.Model, prefix: str, name: str) -> keras.Model:
        names = CallNames(prefix)
        self.used |= {layer.name for layer in model.layers}

        def call(operation: Any, *args: Any, **kwargs: Any) -> Any:
            here = names.next(operation)
            flat = keras.tree.flatten((args, kwargs))
            tensors = [i for i, t in enumerate(flat) if isinstance(t, keras.KerasTensor)]
            for number, i in enumerate(tensors):
                if (here, number) in self.before:
                    flat[i] = self.attend(flat[i], here, operation)
            args, kwargs = keras.tree.pack_sequence_as((args, kwargs), flat)
            outputs = operation(*args, **kwargs)
            return self.attend(outputs, here, operation) if here in self.after else outputs

        def clone(operation: Any) -> Any:
            if not isinstance(operation, keras.Layer):
                return operation  # keras.ops: nothing to copy
            if is_functional(operation):
                return self.copy(operation, f"{prefix}{operation.name}/", operation.name)
            new = _clone(operation)
            self.pairs.append((operation, new))
            return new

        new = copied(model, clone_function=clone, call_function=call)
        return keras.Model(new.input, new.output, name=name) if new.name != name else new

    def attend(self, x: Any, place: str, operation: Any) -> Any:
        policy = getattr(operation, "dtype_policy", None)
        dtype = policy if isinstance(policy, keras.DTypePolicy) and policy.name != "quantized" else None
        base = self.free(f"{place.replace('/', '_').replace('#', '_')}_{self.title}")
        try:
            layer = self.make(name=base, dtype=dtype)
            y = layer(x)
        except (ValueError, TypeError, IndexError) as problem:
            raise ValueError(
                f"{self.title} does not fit {place} with maps {tuple(x.shape)}: {str(problem).splitlines()[0]}"
            ) from problem
        if not isinstance(y, keras.KerasTensor) or tuple(y.shape) != tuple(x.shape):
            given = keras.tree.map_structure(lambda t: tuple(t.shape), y)
            raise ValueError(f"{self.title} does not fit {place}: of {tuple(x.shape)} it makes {given}.")
        if self.start == "paper" or _is_identity(layer, x):
            return y
        return ReZero(name=self.free(f"{base}_scale"), dtype=dtype)([x, y])

    def free(self, name: str) -> str:
        """The name, or with a number behind it where it is taken."""
        number, found = 1, name
        while found in self.used:
            number += 1
            found = f"{name}_{number}"
        self.used.add(found)
        return found


def _is_identity(layer: keras.Layer, x: Any) -> bool:
    """Whether a block, as it is initialised, gives what it takes: then a scale at zero would hold it there for ever."""
    shape = tuple(8 if n is None else n for n in x.shape[1:])
    maps = np.random.default_rng(0).standard_normal((PROBES, *shape)).astype("float32")
    x = keras.ops.cast(maps, layer.compute_dtype)
    return bool(keras.ops.all(keras.ops.equal(layer(x, training=False), x)))


def _clone(layer: keras.Layer) -> keras.Layer:
    try:
        return type(layer).from_config(layer.get_config())
    except Exception as problem:  # a layer of the user's may fail in any way
        raise ValueError(
            f"layer {layer.name!r} ({type(layer).__name__}) cannot be copied: its get_config and from_config do not "
            f"make it anew ({type(problem).__name__}: {str(problem).splitlines()[0] if str(problem) else ''})."
        ) from problem
