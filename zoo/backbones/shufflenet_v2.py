"""ShuffleNet V2: half of the channels pass a unit untouched, then both halves are shuffled; ImageNet and CIFAR forms.

A stage has one resolution and one width: BAM's boundaries, ABN's last stage and AFI's runs agree. A stage's first unit,
which also shrinks the map, is AFI's plain first block. At stride 1 (ABN's copy) it keeps its two branches.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kattn.layers.pieces.channel_shuffle import ChannelShuffle
from kattn.layers.pieces.initial_weights import torch_default
from kattn.zoo.backbones.row import CIFAR, Backbone, all_but
from kattn.zoo.backbones.shufflenet_v1 import STEM_WIDTH, imagenet_stem
from kattn.zoo.grammar.assembly import Head, assemble, stage_of_blocks
from kattn.zoo.grammar.convolutions import conv_bn, depthwise_bn
from kattn.zoo.grammar.initial_weights import InitialWeights
from kattn.zoo.grammar.placing import BlockSites, Sites

PAPER = "Ma, Zhang, Zheng, Sun. ShuffleNet V2. ECCV 2018. arXiv:1807.11164"
SITES = all_but("spatial_conv")  # the 3x3 convolutions are depthwise
DEPTHS = (4, 8, 4)
INITIAL = InitialWeights(conv=torch_default)  # torchvision's


def cifar_stem(x: Any) -> Any:
    """3x3, 24 filters, stride 1."""
    return conv_bn(x, STEM_WIDTH, 3, name="stem_conv")


def unit(x: Any, filters: int, strides: int, at: BlockSites) -> Any:
    """1x1, depthwise 3x3, 1x1 on half of the channels. In a stage's first unit both branches take all channels."""
    if at.number == 1:
        branch, shortcut = x, depthwise_bn(x, 3, strides, activation=None, name=f"{at.name}_shortcut_conv1")
        shortcut = conv_bn(shortcut, filters // 2, 1, name=f"{at.name}_shortcut_conv2")
    else:
        shortcut, branch = ops.split(x, 2, axis=-1)
    shortcut = at.shortcut(shortcut)
    y = at.first_conv(at.input(branch), filters // 2, 1, later_strides=strides)
    y = at.inner(depthwise_bn(y, 3, strides, activation=None, before_norm=at.before_norm, name=f"{at.name}_conv2"))
    y = at.residual(conv_bn(y, filters // 2, 1, name=f"{at.name}_conv3"))
    y = keras.layers.Concatenate(name=f"{at.name}_concat")([shortcut, y])
    return at.output(ChannelShuffle(2, name=f"{at.name}_shuffle")(y))


def shufflenet_v2(
    x: Any, sites: Sites, head: Head, *, widths: Sequence[int], last_width: int, cifar: bool = False
) -> Any:
    """Stem, three stages that halve the map and double the width, a 1x1 convolution, head."""

    def widen(x: Any) -> Any:
        return conv_bn(x, last_width, 1, name="last_conv")

    stages = [
        stage_of_blocks(unit, depth, sites, i, filters=width, strides=2)
        for i, (depth, width) in enumerate(zip(DEPTHS, widths, strict=True), start=1)
    ]
    stem, stem_strides = (cifar_stem, 1) if cifar else (imagenet_stem, 4)
    return assemble(stem(x), stages, sites, head, stem_strides=stem_strides, widen=widen)


WIDTHS = {
    "x0_5": ((48, 96, 192), 1024),
    "x1_0": ((116, 232, 464), 1024),
    "x1_5": ((176, 352, 704), 1024),
    "x2_0": ((244, 488, 976), 2048),
}


def rows(suffix: str, cifar: bool, **defaults: Any) -> dict[str, Backbone]:
    """All widths of one form."""
    return {
        f"shufflenet_v2_{size}{suffix}": Backbone(
            functools.partial(shufflenet_v2, widths=widths, last_width=last_width, cifar=cifar),
            stages=3,
            paper=PAPER,
            sites=SITES,
            initial=INITIAL,
            **defaults,
        )
        for size, (widths, last_width) in WIDTHS.items()
    }


BACKBONES: dict[str, Backbone] = rows("", cifar=False) | rows("_cifar", cifar=True, **CIFAR)
