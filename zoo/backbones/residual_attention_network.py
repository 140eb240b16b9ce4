"""Residual attention networks: Attention-56, Attention-92 and AttentionNeXt-56.

A stage is a residual unit, then attention modules. The unit sets the width and, except in the first stage, halves the
map. The last stage is three units. The modules are these networks' attention. Their mask's activation is the option
`attention`: "mixed" is the paper's f1, the only one that was released, "channel" f2 and "spatial" f3. Mechanisms
between the stages or at the end (BAM, ABN) have a place. One inside residual blocks has none: only six units lie
outside the modules.

Code: fwang91/residual-attention-network
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras

from kattn.layers.pieces.aggregated_bottleneck import AggregatedBottleneck
from kattn.layers.pieces.pre_activation import PreActivationBottleneck
from kattn.layers.residual_attention import ResidualAttention
from kattn.layers.residual_attention_next import ResidualAttentionNeXt
from kattn.zoo.backbones.row import Backbone
from kattn.zoo.grammar.assembly import Head, Stage, assemble, unchanged
from kattn.zoo.grammar.convolutions import bn_act, conv_bn
from kattn.zoo.grammar.placing import Sites

PAPER = "Wang et al. Residual Attention Network for Image Classification. CVPR 2017. arXiv:1704.06904"
WIDTHS = (256, 512, 1024)
DEPTHS = (3, 2, 1)  # how often the masks of a stage halve the map
LAST_WIDTH, LAST_UNITS = 2048, 3


def stem(x: Any) -> Any:
    """7x7, 64 filters, stride 2; 3x3 max-pooling, stride 2. On even sizes it rounds up."""
    x = conv_bn(x, 64, 7, 2, name="stem_conv")
    return keras.layers.MaxPooling2D(3, 2, "same", data_format="channels_last", name="stem_pool")(x)


def finish_pre_activation(x: Any) -> Any:
    """Activation of the last sum."""
    return bn_act(x, name="finish")


def residual_attention(
    x: Any,
    sites: Sites,
    head: Head,
    *,
    modules: tuple[int, ...],
    unit: Callable[..., keras.Layer],
    module: Callable[..., keras.Layer],
    finish: Callable[[Any], Any],
    attention: str = "mixed",
) -> Any:
    """Stem, three stages of one unit and attention modules, one stage of units, head.

    Args:
        attention: Of the modules: "mixed", "channel" or "spatial", as in the paper's comparison.
    """

    def attended(number: int, count: int) -> Stage:
        def build(x: Any, strides: int, prefix: str) -> Any:
            at = sites.stage(number, prefix=prefix)
            x = unit(WIDTHS[number - 1], strides, name=f"{at.name}_unit")(at.stage_input(x))
            for i in range(1, count + 1):
                x = module(DEPTHS[number - 1], attention, name=f"{at.name}_attention{i}")(x)
            return x

        return Stage(build, strides=1 if number == 1 else 2)

    def last(x: Any, strides: int, prefix: str) -> Any:
        at = sites.stage(sites.count, prefix=prefix)
        x = at.stage_input(x)
        for i in range(1, LAST_UNITS + 1):
            x = unit(LAST_WIDTH, strides if i == 1 else 1, name=f"{at.name}_unit{i}")(x)
        return x

    stages = [*(attended(i, count) for i, count in enumerate(modules, start=1)), Stage(last, strides=2)]
    return assemble(stem(x), stages, sites, head, stem_strides=4, finish=finish)


def row(
    *modules: int,
    unit: type[keras.Layer] = PreActivationBottleneck,
    module: type[keras.Layer] = ResidualAttention,
    finish: Callable[[Any], Any] = finish_pre_activation,
) -> Backbone:
    """A row, from the number of attention modules in each of the first three stages."""
    network = functools.partial(residual_attention, modules=modules, unit=unit, module=module, finish=finish)
    inside = "its residual units lie inside attention modules, which are its attention (option `attention`)"
    sites = ("stage_input", "between_stages", "tail")
    reasons = dict.fromkeys(
        ("input", "first_conv", "integrated", "spatial_conv", "inner", "residual", "widest"), inside
    )
    reasons |= dict.fromkeys(("shortcut", "output"), inside)
    return Backbone(network, stages=4, paper=PAPER, sites=sites, options=("attention",), reasons=reasons)


BACKBONES: dict[str, Backbone] = {
    "attention56": row(1, 1, 1),
    "attention92": row(1, 2, 3),
    "attentionnext56": row(1, 1, 1, unit=AggregatedBottleneck, module=ResidualAttentionNeXt, finish=unchanged),
}
