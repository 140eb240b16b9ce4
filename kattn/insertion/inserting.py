"""Attention in a model that already exists, with the weights that it already has."""

from __future__ import annotations

from typing import Any

import keras

from kattn.graph.calls import Call, free_name
from kattn.graph.copies import copy_model
from kattn.graph.inputs import require_functional
from kattn.graph.inside import all_inside, freeze
from kattn.insertion.blocks import Blocks, Mechanism
from kattn.insertion.levels import Place
from kattn.insertion.places import Where, find_places
from kattn.layers.pieces.rezero import ReZero, is_identity

STARTS = ("identity", "paper")


def insert(
    model: keras.Model,
    mechanism: Mechanism,
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
        model: Functional, or Sequential and built, of one or several inputs and outputs. Models nested in it are looked
            into, also those that a TimeDistributed runs for each time step.
        mechanism: Short name of a block that keeps the shape of a feature map (`kattn.layers.names()`), a layer class,
            a function that makes a layer, or a layer, of whose configuration every place gets a copy with new weights.
            A class or function is given the options, and `name` and `dtype` where it takes them.
        where: "residual", the end of every branch before it joins its shortcut (an addition, or the concatenation of a
            dense block); "output", behind every block that such a joint ends; "between_stages", the last map of every
            resolution but the last; the name of a layer ("model/layer" inside a nested model); a glob such as
            "*_conv"; a function of a layer that gives whether; or a list of these. Whether layers are frozen does not
            change the places.
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
        that does not fit a map, a layer that cannot be copied; ValueError or TypeError, as the block raises it, for an
        option that it does not have.
    """
    require_functional(model, "insert")
    if start not in STARTS:
        raise ValueError(f"start must be one of {', '.join(map(repr, STARTS))}. Received: start={start!r}")
    blocks = Blocks(mechanism, options)
    places = find_places(model, where)
    if dry_run:
        return places
    insertion = _Insertion(blocks, start, places, {layer.name for layer in all_inside(model)})
    new, pairs = copy_model(model, make=insertion.make, name=name or f"{model.name}_{blocks.title}")
    if freeze_original:
        for _, copy in pairs:
            freeze(copy)
    return new


class _Insertion:
    """Makes the calls of a model's copy, with blocks at some places.

    Args:
        blocks: Makes the blocks.
        start: "identity" or "paper".
        places: Where the blocks go.
        names: That are taken.
    """

    def __init__(self, blocks: Blocks, start: str, places: list[Place], names: set[str]) -> None:
        self.blocks = blocks
        self.start = start
        self.places = {(place.name, place.argument) for place in places}
        self.names = names

    def make(self, call: Call) -> Any:
        """Make a call, with blocks in front of the inputs and behind the result that are places."""
        flat = keras.tree.flatten((call.args, call.kwargs))
        tensors = [i for i, t in enumerate(flat) if isinstance(t, keras.KerasTensor)]
        for number, i in enumerate(tensors):
            if (call.name, number) in self.places:
                flat[i] = self.attend(flat[i], call)
        call.args, call.kwargs = keras.tree.pack_sequence_as((call.args, call.kwargs), flat)
        outputs = call.run()
        return self.attend(outputs, call) if (call.name, None) in self.places else outputs

    def attend(self, x: Any, call: Call) -> Any:
        """A block on a map of this call."""
        policy = getattr(call.layer, "dtype_policy", None)
        dtype = policy if isinstance(policy, keras.DTypePolicy) and policy.name != "quantized" else None
        title = self.blocks.title
        base = self.free(f"{call.name}_{title}")
        try:
            layer = self.blocks.make(base, dtype)
            y = layer(x)
        except (ValueError, TypeError, IndexError) as problem:
            raise ValueError(
                f"{title} does not fit {call.name} with maps {tuple(x.shape)}: {str(problem).splitlines()[0]}"
            ) from problem
        if not isinstance(y, keras.KerasTensor) or tuple(y.shape) != tuple(x.shape):
            given = keras.tree.map_structure(lambda t: tuple(t.shape), y)
            raise ValueError(f"{title} does not fit {call.name}: of {tuple(x.shape)} it makes {given}.")
        if self.start == "paper" or is_identity(layer, x):
            return y
        return ReZero(name=self.free(f"{base}_scale"), dtype=dtype)([x, y])

    def free(self, name: str) -> str:
        """A name that no layer has."""
        self.names.add(found := free_name(name, self.names))
        return found
