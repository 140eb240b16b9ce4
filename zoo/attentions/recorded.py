"""Attention of a user's own as files of weights record it: by the names that Keras knows its classes by."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Sequence
from typing import Any

import keras

from kattn.zoo.attentions.named import Named, known
from kattn.zoo.attentions.table import ATTENTIONS
from kattn.zoo.grammar.factories import as_conv, layer_name, unwrapped
from kattn.zoo.grammar.sites import SITES, Attention

AT_SITE = re.compile(r"(\w+)=([^{}]+)(\{.*\})?")
BETWEEN = re.compile(r"; (?=\w+=)")


def record_of(named: Named) -> tuple[str, ...]:
    """One text an attention: its name in the table, or "residual=my_layers>MyGate", with what a partial presets."""
    return tuple(name if ATTENTIONS.get(name) == one else _text(one) for name, one in named)


def of_record(record: Sequence[str], shown: str) -> Named:
    """The attentions that a file names.

    Args:
        record: As `record_of` writes it.
        shown: What errors call the file.

    Raises: ValueError for a class that is not registered with Keras in this process.
    """
    table = {record_of(((name, one),))[0]: (name, one) for name, one in known().items()}
    return tuple(table.get(text) or _read(text, shown) for text in record)


def _text(one: Attention) -> str:
    found = [f"{site}={_described(getattr(one, site))}" for site in one.used_sites()]
    plain = Attention()
    named = {key: getattr(one, key) for key in ("blocks", "blocks_of_stages")}
    rules = [(key, rule) for key, rule in named.items() if rule is not getattr(plain, key)]
    return "; ".join(found + [f"{key}={rule.__qualname__}()" for key, rule in rules])


def _described(factory: Any) -> str:
    preset: dict[str, Any] = {}
    while isinstance(factory, functools.partial):
        preset, factory = {**factory.keywords, **preset}, factory.func
    target = unwrapped(factory)
    if not isinstance(target, type):
        return f"{target.__module__}.{getattr(target, '__qualname__', type(target).__qualname__)}()"
    name = keras.saving.get_registered_name(target)
    return name + (json.dumps(preset, sort_keys=True, default=repr) if preset else "")


def _read(text: str, shown: str) -> tuple[str, Attention]:
    sites: dict[str, Any] = {}
    kind: Any = None
    for part in BETWEEN.split(text):
        found = AT_SITE.fullmatch(part)
        site, name, preset = found.groups() if found else ("", part, None)
        kind = keras.saving.get_registered_object(name) if site in SITES else None
        if not (isinstance(kind, type) and issubclass(kind, keras.Layer)):
            raise ValueError(
                f"{shown}: the weights are of a network with attention of its own, {text}; {name} is not registered "
                "in this process. Import the file that registers it (--import FILE.py on the command line; "
                "@keras.saving.register_keras_serializable() on the class), or give attention= as it was built with."
            )
        options = json.loads(preset) if preset else {}
        factory: Any = as_conv(kind) if site == "spatial_conv" else kind
        sites[site] = functools.partial(factory, **options) if options else factory
    return layer_name(kind), Attention(**sites)
