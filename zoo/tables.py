"""Every model is a row of the table of attentions and a row of the table of backbones; its name joins theirs."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import keras

from kattn.suggest import unknown
from kattn.zoo.attentions.table import ATTENTIONS
from kattn.zoo.backbones.row import Backbone
from kattn.zoo.backbones.table import BACKBONES
from kattn.zoo.builder import make_builder
from kattn.zoo.grammar.sites import Attention


class NoPlace(ValueError):
    """A mechanism that has no place in a backbone."""


def pairs() -> Iterator[tuple[str, str, str]]:
    """(model name, attention name, backbone name) of every model that can be built."""
    for backbone_name, backbone in BACKBONES.items():
        for attention_name, attention in ATTENTIONS.items():
            if not backbone.missing(attention):
                yield model_name(attention_name, backbone_name), attention_name, backbone_name


def model_name(attention: str, backbone: str) -> str:
    """The name of a pair; the plain network is called like its backbone."""
    return backbone if attention == "none" else f"{attention}_{backbone}"


def parts(name: str) -> tuple[str, str]:
    """Names of the attention and of the backbone of a model.

    Raises: ValueError for an unknown name, with the closest ones; NoPlace, a ValueError, for a mechanism that has no
        place in the backbone, with the reason.
    """
    for backbone_name, backbone in BACKBONES.items():
        for attention_name, attention in ATTENTIONS.items():
            if model_name(attention_name, backbone_name) == name:
                if missing := backbone.missing(attention):
                    reasons = "; ".join(f"{site}: {backbone.why_not(site)}" for site in missing)
                    raise NoPlace(f"{attention_name} has no place in {backbone_name}: {reasons}")
                return attention_name, backbone_name
    raise unknown("model", name, (pair[0] for pair in pairs()), "All names: kattn.zoo.list_models()")


def rows(name: str) -> tuple[Attention, Backbone]:
    """Both rows behind a model name. Raises: as `parts`."""
    attention, backbone = parts(name)
    return ATTENTIONS[attention], BACKBONES[backbone]


def builder(name: str) -> Callable[..., keras.Model]:
    """The function that builds a model. Raises: as `parts`."""
    return make_builder(name, *rows(name))
