"""What the builder needs to know of a backbone."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kattn.zoo.grammar.combining import AnyAttention
from kattn.zoo.grammar.factories import factory_options
from kattn.zoo.grammar.initial_weights import RESNET, InitialWeights
from kattn.zoo.grammar.sites import SITES

# Why a network lacks a site, where the backbone gives no reason of its own.
NO_SITE = {
    "input": "its blocks have no residual branch whose input could be gated",
    "first_conv": "it has no stage of equal blocks whose first convolutions could share their maps",
    "integrated": "it has no stage of equal blocks whose first convolutions could share their maps",
    "spatial_conv": "it has no dense 3x3 convolution in its blocks that could be replaced",
    "inner": "its blocks have no 3x3 convolution that is followed by another in a residual branch",
    "before_norm": "its blocks do not end in, or narrow behind, a 3x3 convolution with a normalisation of its own",
    "residual": "its blocks have no residual branch",
    "widest": "its blocks have no residual branch",
    "shortcut": "its blocks have no shortcut",
    "output": "its blocks have no sum",
    "stage_input": "it is not made of stages",
    "between_stages": "it has no boundaries between stages",
    "conv_input": "its convolutions lie inside layers of their own",
    "tail": "its last stage cannot be copied",
}


@dataclass(frozen=True)
class Backbone:
    """One row of the table of backbones.

    Attributes:
        network: (x, sites, head, **options) to the outputs, for a normalised image x.
        stages: How many stages the network has.
        paper: Where it was published.
        input_shape: Default (height, width, channels).
        classes: Default number of classes.
        mean, std: Of RGB in 0-1, that pixels are normalised with.
        sites: The sites that the network calls.
        options: Names of the network's keyword options that users may set.
        reasons: Site to why the network lacks it, where NO_SITE does not tell it well.
        initial: How its weights start: as in torchvision or timm where the network is there, else as in the code of
            its paper.
    """

    network: Callable[..., Any]
    stages: int
    paper: str
    input_shape: tuple[int, int, int] = (224, 224, 3)
    classes: int = 1000
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    sites: tuple[str, ...] = tuple(SITES)
    options: tuple[str, ...] = ()
    reasons: Mapping[str, str] = field(default_factory=dict, hash=False)
    initial: InitialWeights = RESNET

    def missing(self, attention: AnyAttention) -> list[str]:
        """The sites that the attention stands at and the network does not have."""
        return [site for site in attention.used_sites() if site not in self.sites]

    def why_not(self, site: str) -> str:
        """Why the network has no such site."""
        return self.reasons.get(site, NO_SITE[site])

    def user_options(self) -> dict[str, inspect.Parameter]:
        """The keyword options that the network offers its users."""
        return {option.name: option for option in factory_options(self.network) if option.name in self.options}


def all_but(*sites: str) -> tuple[str, ...]:
    """All sites but these."""
    return tuple(site for site in SITES if site not in sites)


CIFAR: dict[str, Any] = {
    "input_shape": (32, 32, 3),
    "classes": 10,
    "mean": (0.4914, 0.4822, 0.4465),
    "std": (0.2470, 0.2435, 0.2616),
}


def require_size(x: Any, smallest: int, network: str) -> None:
    """Raise a ValueError for an image too small for the network's unpadded convolutions and poolings."""
    if any(size is not None and size < smallest for size in x.shape[1:3]):
        raise ValueError(f"{network} takes at least {smallest}x{smallest} pixels. Received: {tuple(x.shape[1:3])}")
