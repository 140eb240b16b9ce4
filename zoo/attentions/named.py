"""Attention by its name, those that users register among them; and what `attention=` takes."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import keras

from kattn.graph.copies import accepted
from kattn.suggest import unknown
from kattn.zoo.attentions.table import ATTENTIONS
from kattn.zoo.grammar.factories import layer_name
from kattn.zoo.grammar.sites import Attention

Named = tuple[tuple[str, Attention], ...]  # attentions in order, with what names and errors call them

REGISTERED: dict[str, Attention] = {}  # of users, in this process
OF_KERAS = ("name", "dtype", "trainable")  # of a layer's configuration


def known() -> dict[str, Attention]:
    """All attentions by their names; "none" is the plain network."""
    return {**ATTENTIONS, **REGISTERED}


def split(text: str) -> tuple[str, ...]:
    """The names that are joined in one: abn_se gives abn and se. Empty for an unknown one."""
    names = [name for name in known() if name != "none"]
    if text in names:
        return (text,)
    for name in sorted(names, key=len, reverse=True):
        if text.startswith(f"{name}_") and (others := split(text[len(name) + 1 :])):
            return (name, *others)
    return ()


def of_names(names: Iterable[str]) -> Named:
    """Attentions of these names."""
    table = known()
    return tuple((name, table[name]) for name in names)


def settled(given: Any) -> tuple[Named, bool]:
    """What `attention=` means.

    Args:
        given: A layer class, a function of `name` or of nothing that makes a layer, a layer (whose configuration is
            copied), an Attention of sites, a name of the table or several of them joined, or a tuple of these.

    Returns: The attentions, and whether their order is meant: that of a tuple is.
    Raises: ValueError for anything else.
    """
    if isinstance(given, tuple | list):
        return tuple(pair for one in given for pair in settled(one)[0]), True
    if isinstance(given, str):
        if given == "none":
            return (), False
        if not (names := split(given)):
            raise unknown("attention", given, known())
        return of_names(names), False
    one = given if isinstance(given, Attention) else Attention(residual=_factory(given))
    bare = replace(one, paper="")
    for name, row in known().items():
        if replace(row, paper="") == bare:
            return of_names([name]) if name != "none" else (), False
    (site, *_) = one.used_sites()
    return ((layer_name(getattr(one, site)), one),), False


def _factory(given: Any) -> Any:
    if isinstance(given, keras.Layer):
        kind: Any = type(given)
        config = {key: value for key, value in given.get_config().items() if key not in OF_KERAS}
        if set(config) - accepted(kind, config):
            raise ValueError(
                f"attention: the configuration of {given.name} is not made of the arguments of {kind.__name__}; "
                "give the class, or a function of name that makes the layer."
            )
        return functools.partial(kind, **config)
    is_layer = isinstance(given, type) and issubclass(given, keras.Layer)
    if is_layer or (callable(given) and not isinstance(given, type)):
        return given
    raise ValueError(
        "attention is a layer class, a function of name that makes a layer, a kattn.zoo.Attention of sites, a name "
        f"({', '.join(sorted(known()))}), or a tuple of these. Received: attention={given!r}"
    )
