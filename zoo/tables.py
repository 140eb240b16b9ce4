"""Every model is a backbone with attentions from the tables; its name joins theirs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras

from kattn.suggest import unknown
from kattn.zoo.attentions.named import REGISTERED, known, of_names, settled, split
from kattn.zoo.attentions.table import PRINTED
from kattn.zoo.backbones.row import Backbone
from kattn.zoo.backbones.table import BACKBONES
from kattn.zoo.builder import with_attention
from kattn.zoo.grammar.combining import AnyAttention, NoPlace, combined
from kattn.zoo.grammar.sites import replaces_convolutions
from kattn.zoo.starting import model_name as model_name


def pairs() -> Iterator[tuple[str, str, str]]:
    """(model name, attention name, backbone name) of every model that is listed.

    Of combinations those that papers print are; every other one that has a place is built by its name all the same.
    """
    table = {name: combined(of_names(split(name)), ordered=False) for name in (*known(), *PRINTED)}
    for backbone_name, backbone in BACKBONES.items():
        for attention_name, attention in table.items():
            if not backbone.missing(attention):
                yield model_name(attention_name, backbone_name), attention_name, backbone_name


def parts(name: str) -> tuple[str, str]:
    """Names of the attention and of the backbone of a model; of several attentions in alphabetical order, joined.

    Raises: ValueError for an unknown name, with the closest ones; NoPlace, a ValueError, for a mechanism that has no
        place in the backbone, or none beside another one, with the reason.
    """
    for backbone_name, backbone in BACKBONES.items():
        if name == backbone_name:
            return "none", backbone_name
        if not name.endswith(f"_{backbone_name}") or not (names := split(name.removesuffix(f"_{backbone_name}"))):
            continue
        if missing := backbone.missing(combined(of_names(names), ordered=False)):
            reasons = "; ".join(f"{site}: {backbone.why_not(site)}" for site in missing)
            raise NoPlace(f"{'_'.join(sorted(names))} has no place in {backbone_name}: {reasons}")
        return "_".join(sorted(names)), backbone_name
    raise unknown("model", name, (pair[0] for pair in pairs()), "All names: kattn.zoo.list_models()")


def rows(name: str) -> tuple[AnyAttention, Backbone]:
    """What stands in a model, and its backbone. Raises: as `parts`."""
    attention, backbone = parts(name)
    return combined(of_names(split(attention)), ordered=False), BACKBONES[backbone]


def builder(name: str) -> Callable[..., keras.Model]:
    """The function that builds a model. Raises: as `parts`."""
    attention, backbone = parts(name)
    return with_attention(of_names(split(attention)), backbone, BACKBONES[backbone], ordered=False)


def neutral(name: str) -> bool:
    """Whether a model can `start="identity"`: its attention takes no convolution's place. Raises: as `parts`."""
    return not replaces_convolutions(rows(name)[0].used_sites())


def register(name: str, attention: Any) -> None:
    """Give attention of your own a name: `mygate_resnet50` exists from then on, in this process.

    >>> kattn.zoo.register("mygate", MyGate)

    It is then listed (`list_models`), described, built, tuned and compared by its name, alone and joined with others
    (`abn_mygate_resnet50`). The command line runs the file that registers it with `--import my_layers.py`.

    Args:
        name: Lower case letters, digits and underscores. What was registered under it before is replaced.
        attention: A layer class, a function of name that makes a layer, a layer, or an `Attention` of sites.

    Raises: ValueError for a name that cannot be one or is taken by a mechanism of kattn, and for what is no attention.
    """
    if not isinstance(name, str) or not name.isidentifier() or name != name.lower():
        raise ValueError(f"name is made of lower case letters, digits and underscores. Received: name={name!r}")
    others = {key for key in known() if key not in REGISTERED}
    if name in others or (name not in REGISTERED and split(name)) or name in BACKBONES:
        raise ValueError(f"{name} is the name of a mechanism or backbone of kattn: choose another one.")
    (pair, *more), _ = settled(attention)
    if more or isinstance(attention, str):
        raise ValueError(f"register takes one attention of your own. Received: attention={attention!r}")
    REGISTERED[name] = pair[1]
