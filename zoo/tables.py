"""Every model: the product of the two tables."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import keras

from kattn.zoo.attentions.table import ATTENTIONS
from kattn.zoo.backbones.row import Backbone
from kattn.zoo.backbones.table import BACKBONES
from kattn.zoo.builder import make_builder, missing_sites
from kattn.zoo.catalog import unknown_model
from kattn.zoo.grammar.sites import Attention


def pairs() -> Iterator[tuple[str, str, str]]:
    """(model name, attention name, backbone name) of every model that can be built."""
    for backbone_name, backbone in BACKBONES.items():
        for attention_name, attention in ATTENTIONS.items():
            if not missing_sites(attention, backbone):
                yield model_name(attention_name, backbone_name), attention_name, backbone_name


def model_name(attention: str, backbone: str) -> str:
    """The name of a pair; the plain network is called like its backbone."""
    return backbone if attention == "none" else f"{attention}_{backbone}"


@functools.cache
def rows(name: str) -> tuple[Attention, Backbone]:
    """Both rows behind a model name.

    Raises: ValueError for an unknown name, and for a mechanism that has no place in the backbone.
    """
    for backbone_name, backbone in BACKBONES.items():
        for attention_name, attention in ATTENTIONS.items():
            if model_name(attention_name, backbone_name) == name:
                if missing := missing_sites(attention, backbone):
                    reasons = "; ".join(f"{site}: {backbone.why_not(site)}" for site in missing)
                    raise ValueError(f"{attention_name} has no place in {backbone_name}: {reasons}")
                return attention, backbone
    raise unknown_model(name)


@functools.cache
def builder(name: str) -> Callable[..., keras.Model]:
    """The function that builds a model."""
    attention, backbone = rows(name)
    return make_builder(name, attention, backbone)
