"""MobileNet v1: pairs of a depthwise and a pointwise convolution.

A pair is the block. It has no shortcut. `residual` and `output` both stand at its end: in networks without shortcuts,
SE's authors gate the whole transformation. A stage is all blocks of one resolution. Here it also has one width, so
BAM's boundaries, ABN's last stage and AFI's runs agree. AFI was not published for this network. Here it halves a pair's
pointwise convolution, the one that makes new maps.
"""

from __future__ import annotations

from typing import Any

from kattn.layers.pieces.initial_weights import tensorflow_fan_out, uniform_fan_out, zeros
from kattn.zoo.backbones.row import Backbone, all_but
from kattn.zoo.grammar.assembly import Head, assemble, stage_of_blocks
from kattn.zoo.grammar.convolutions import conv_bn, depthwise_bn
from kattn.zoo.grammar.initial_weights import InitialWeights
from kattn.zoo.grammar.placing import BlockSites, Sites

PAPER = (
    "Howard, Zhu, Chen, Kalenichenko, Wang, Weyand, Andreetto, Adam. MobileNets: Efficient Convolutional Neural "
    "Networks for Mobile Vision Applications. 2017. arXiv:1704.04861"
)
INITIAL = InitialWeights(conv=tensorflow_fan_out, dense=uniform_fan_out, dense_bias=zeros)  # timm's
STAGES = ((64, 1), (128, 2), (256, 2), (512, 6), (1024, 2))  # channels, pairs


def scaled(channels: int, alpha: float) -> int:
    """alpha * channels, rounded down, not to multiples of eight: so the sizes printed for alpha = 0.7 come out."""
    return max(1, int(alpha * channels))


def pair(x: Any, filters: int, strides: int, at: BlockSites) -> Any:
    """Depthwise 3x3, then pointwise 1x1."""
    y = at.inner(depthwise_bn(at.input(x), 3, strides, before_norm=at.before_norm, name=f"{at.name}_depthwise"))
    return at.output(at.residual(at.first_conv(y, filters, 1)))


def mobilenet_v1(x: Any, sites: Sites, head: Head, *, alpha: float = 1.0) -> Any:
    """Stem, thirteen pairs, head.

    Args:
        alpha: Factor of all widths, such as 0.25, 0.5 and 0.75 in the paper.
    """
    if alpha <= 0:
        raise ValueError(f"alpha must be above 0. Received: alpha={alpha}")
    stages = [
        stage_of_blocks(pair, pairs, sites, i, filters=scaled(channels, alpha), strides=1 if i == 1 else 2)
        for i, (channels, pairs) in enumerate(STAGES, start=1)
    ]
    x = conv_bn(x, scaled(32, alpha), 3, 2, name="stem_conv")
    return assemble(x, stages, sites, head, stem_strides=2)


BACKBONES: dict[str, Backbone] = {
    "mobilenet_v1": Backbone(
        mobilenet_v1,
        stages=len(STAGES),
        paper=PAPER,
        sites=all_but("spatial_conv", "shortcut"),
        options=("alpha",),
        initial=INITIAL,
    ),
}
