"""One small example of every registered block, with what its equation promises about the order of positions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from kattn import layers
from support.layer_checks import image

SMALL_RAB = {"head_blocks": 0, "trunk_blocks": 1, "mask_blocks": (0, 1, 0), "tail_blocks": 0}


@dataclass(frozen=True)
class Case:
    """A block's example.

    Attributes:
        options: Of the layer.
        channels: Of its inputs.
        scales: Divisor of height and width of each input.
        free: Whether it takes maps whose height and width are not known when it is built.
        moves: What may be moved about on its input with the output moved alike: "positions", "lines" (whole rows and
            whole columns), "channels", or "" where convolutions or tiles tie neighbours together. In an output of
            another shape (logits, codes) nothing moves.
        least: Smallest side of a map.
    """

    options: dict[str, Any] = field(default_factory=dict)
    channels: int = 8
    scales: tuple[int, ...] = (1,)
    free: bool = True
    moves: tuple[str, ...] = ()
    least: int = 1


POSITIONS = ("positions",)
CASES: dict[str, Case] = {
    "a2": Case(moves=POSITIONS),
    "abn": Case({"classes": 3}),
    "afi": Case(scales=(1, 1, 1), moves=POSITIONS),
    "bam": Case({"reduction": 4, "dilation": 2}),
    "bat": Case({"block_size": 1, "matrices": 2}, free=False),
    "c3": Case(free=False, moves=("channels",)),
    "cbam": Case({"reduction": 4, "kernel_size": 3}),
    "ccnet": Case({"reduction": 2}, moves=("lines",)),
    "ccnet_head": Case({"classes": 3}),
    "context_encoding": Case({"codes": 4, "classes": 3}, moves=POSITIONS),
    "coord": Case({"reduction": 2}, moves=("lines",)),
    "danet": Case({"classes": 3}),
    "danet_channel": Case(moves=("positions", "channels")),
    "danet_position": Case({"reduction": 2}, moves=POSITIONS),
    "eca": Case(moves=POSITIONS),
    "ema": Case({"factor": 4}),
    "encoding": Case({"codes": 4}, moves=POSITIONS),
    "ese": Case(moves=POSITIONS),
    "fca": Case({"reduction": 2, "frequencies": "top4"}, free=False),
    "gc": Case({"reduction": 2}, moves=POSITIONS),
    "gct": Case(moves=POSITIONS),
    "ge": Case({"variant": "theta_minus"}, moves=("positions", "channels")),
    "lka": Case(),
    "lsrag": Case({"blocks": 1, "reduction": 2}),
    "mhsa": Case({"heads": 2}, free=False),
    "nl": Case({"sub_sample": False}, moves=POSITIONS),
    "nlm": Case({"sigma": 2.0}, channels=3, moves=("channels",), least=2),
    "object_attention": Case(moves=POSITIONS),
    "object_context": Case(moves=POSITIONS),
    "object_context_asp": Case({"filters": 4, "dilations": (2,)}, least=2),
    "object_context_pyramid": Case({"filters": 4, "tiles": (1, 2)}, least=2),
    "polarized": Case(moves=POSITIONS),
    "psa": Case({"channels": 4, "mask_size": (3, 5)}),
    "rab": Case(SMALL_RAB, channels=4),
    "ran": Case({"depth": 1, "trunk_units": 1}),
    "ran_next": Case({"depth": 1, "trunk_units": 1, "groups": 2}),
    "rcab": Case({"reduction": 2}),
    "rcan": Case({"blocks": 1, "reduction": 2}),
    "rcan_ca": Case({"reduction": 2}, moves=POSITIONS),
    "rl_nl": Case({"reduction": 2}, least=4),
    "rnab": Case(SMALL_RAB, channels=4),
    "rnan_nl": Case(moves=POSITIONS),
    "sa": Case({"groups": 2}, moves=POSITIONS),
    "sagan": Case({"qk_reduction": 2}, moves=POSITIONS),
    "san": Case({"groups": 1, "blocks": 1, "reduction": 2}, least=4),
    "sanet": Case(scales=(1, 1), moves=POSITIONS),
    "sanet_multi": Case(scales=(1, 1, 2, 2), least=4),
    "se": Case({"reduction": 2}, moves=POSITIONS),
    "simam": Case(moves=("positions", "channels")),
    "sk": Case({"filters": 8, "strides": 2, "groups": 4, "min_hidden": 4}),
    "snl": Case(moves=POSITIONS),
    "soca": Case({"reduction": 2}, moves=POSITIONS),
    "splat": Case({"filters": 8, "strides": 2, "groups": 2, "min_hidden": 4}),
    "srm": Case(moves=POSITIONS),
    "stn": Case({"hidden": 4, "size": (3, 7)}, channels=3, free=False),
    "stn_sampler": Case({"size": 4}, channels=3),
    "strip": Case(),
    "strip_mixed": Case({"pool_sizes": (4, 3)}),
    "triplet": Case({"kernel_size": 3}),
}

# Blocks of many layers, which take a second or more to build and save.
LARGE = {"ccnet_head", "danet", "lsrag", "object_context_asp", "object_context_pyramid", "psa", "rab", "ran"}
LARGE |= {"ran_next", "rnab", "san", "sanet_multi"}


def layer_of(name: str, **options: Any) -> keras.Layer:
    """A new layer of the case."""
    return layers.get(name, **CASES[name].options | options)


def inputs_of(name: str, height: int = 6, width: int = 5, batch: int = 2, seed: int = 0) -> list[np.ndarray]:
    """Its inputs: maps, and for the sampler transforms near the identity."""
    case = CASES[name]
    maps = [
        image(batch, -(-height // scale), -(-width // scale), case.channels, seed=seed + place)
        for place, scale in enumerate(case.scales)
    ]
    if name == "stn_sampler":
        maps.append(np.float32([1, 0, 0, 0, 1, 0]) + 0.1 * image(batch, 6, seed=seed))
    return maps


def moved(x: np.ndarray, how: str, rng: np.random.Generator) -> Any:
    """A function that moves the positions, lines or channels of every map of x's size, the same way each time."""
    _, height, width, channels = x.shape
    order = rng.permutation(height * width)
    rows, columns, kept = rng.permutation(height), rng.permutation(width), rng.permutation(channels)

    def move(y: np.ndarray) -> np.ndarray:
        if y.ndim != 4 or y.shape[1:3] != (height, width):
            return y
        if how == "channels":
            return y[..., kept]
        if how == "lines":
            return y[:, rows][:, :, columns]
        return y.reshape(y.shape[0], -1, y.shape[-1])[:, order].reshape(y.shape)

    return move
