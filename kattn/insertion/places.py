"""Which places of a model a word, a name, a glob or a function means."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras

from kattn.graph.calls import Call
from kattn.graph.inside import all_inside
from kattn.insertion.levels import SITES, Level, Place, after, levels, nested_in
from kattn.suggest import closest

Where = str | Callable[[Any], bool] | Sequence[Any]


def find_places(model: keras.Model, where: Where) -> list[Place]:
    """The places that `where` means in a model and the models nested in it, in order.

    Args:
        model: Functional, or Sequential and built.
        where: A site word, the name of a layer or call, a glob, a predicate on layers, or several of these. Of a layer
            inside a nested model its own name is enough where only one has it.

    Raises: ValueError where nothing is found, with the closest names; TypeError for anything else.
    """
    found = list(levels(model))
    several = isinstance(where, (list, tuple, set, frozenset))
    wanted = list(where) if several else [where]  # type: ignore[arg-type]
    if not wanted or not all(isinstance(one, str) or callable(one) for one in wanted):
        raise TypeError(
            f"where must be one of {', '.join(map(repr, SITES))}, the name of a layer, a glob, a function of a layer, "
            f"or a list of these. Received: where={where!r}"
        )
    places: dict[Place, None] = {}
    for one in wanted:
        meant = list(_places(found, one))
        if not meant:
            raise ValueError(_nothing(model, found, one))
        places |= dict.fromkeys(meant)
    return list(places)


def _places(found: list[Level], where: Any) -> Iterable[Place]:
    if isinstance(where, str) and where in SITES:
        return [place for level in found for place in SITES[where](level)]
    calls = [call for level in found for call in level.calls]
    if callable(where):
        return [after(c) for c in calls if isinstance(c.layer, keras.Layer) and where(c.layer) and c.gives_map]
    if any(letter in where for letter in "*?["):
        return [after(call) for call in calls if fnmatch.fnmatchcase(call.name, where) and call.gives_map]
    return [after(_checked(call, where)) for call in _named(calls, where)]


def _named(calls: list[Call], name: str) -> list[Call]:
    """The call of this name; of a layer's name all its calls."""
    exact = [call for call in calls if name in (call.name, _layer_of(call))]
    if exact:
        return exact
    inside = [call for call in calls if name == _layer_of(call).rpartition("/")[2]]
    if len(layers := dict.fromkeys(map(_layer_of, inside))) > 1:
        raise ValueError(f"{name!r} is in several places: {', '.join(layers)}. Name one.")
    return inside


def _layer_of(call: Call) -> str:
    """The name of a call without its number."""
    return call.name.partition("#")[0]


def _checked(call: Call, where: str) -> Call:
    if call.gives_map:
        return call
    shapes = ", ".join(str(tuple(t.shape)) for t in call.results)
    raise ValueError(
        f"attention stands behind feature maps (batch, height, width, channels); {where!r} gives {shapes}."
    )


def _nothing(model: keras.Model, found: list[Level], where: Any) -> str:
    """Why nothing was found, and what there is."""
    closed = _closed(found)
    if callable(where):
        return f"{model.name} has no feature map behind a layer for which the function given as where is true.{closed}"
    if where in SITES:
        counts = {site: sum(len(list(places(level))) for level in found) for site, places in SITES.items()}
        others = ", ".join(f"{site!r} ({count})" for site, count in counts.items() if count)
        return (
            f"{model.name} has no place {where!r}. It has: {others or 'none of the site words'}; or name a layer, or "
            f"give a glob.{closed}"
        )
    names = [call.name for level in found for call in level.calls]
    close = closest(where, [*names, *SITES]) or names[:3]
    return f"where={where!r} matches nothing in {model.name}; closest: {', '.join(close)}.{closed}"


def _closed(found: list[Level]) -> str:
    """The layers with a model inside whose graph cannot be read, as a sentence."""
    names = [
        f"{call.name} ({type(call.layer).__name__})"
        for level in found
        for call in level.calls
        if nested_in(call) is None and any(isinstance(one, keras.Model) for one in all_inside(call.layer))
    ]
    return f" Not looked into, as the graph inside cannot be read: {', '.join(names)}." if names else ""
