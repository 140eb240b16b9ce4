"""ShuffleNet: grouped 1x1 convolutions with a channel shuffle between them; ImageNet form and CIFAR form.

The width changes where the map shrinks, so AFI's runs of equal blocks, BAM's boundaries and ABN's last stage agree. A
stage's first unit concatenates its pooled input to its branch, also at stride 1 (ABN's copy).
"""

from __future__ import annotations

import functools
from typing import Any

import keras

from kattn.layers.pieces.channel_shuffle import ChannelShuffle
from kattn.layers.pieces.initial_weights import Rule, normal, normal_by_channels, zeros
from kattn.zoo.backbones.row import CIFAR, Backbone, all_but
from kattn.zoo.grammar.assembly import Head, assemble, stage_of_blocks
from kattn.zoo.grammar.convolutions import conv_bn, depthwise_bn, symmetric_padding
from kattn.zoo.grammar.initial_weights import InitialWeights
from kattn.zoo.grammar.placing import BlockSites, Sites

PAPER = "Zhang, Zhou, Lin, Sun. ShuffleNet. CVPR 2018. arXiv:1707.01083"
SITES = all_but("spatial_conv")  # the 3x3 convolutions are depthwise
STEM_WIDTH = 24
DEPTHS = (4, 8, 4)
# The authors' code (megvii-model/ShuffleNet-Series). Its first convolution starts smaller.
INITIAL = InitialWeights(conv=normal_by_channels, dense=normal(0.01), dense_bias=zeros)
WIDTHS = {2: (200, 400, 800), 3: (240, 480, 960)}


def imagenet_stem(x: Any, initial: Rule | None = None) -> Any:
    """3x3, 24 filters, stride 2; 3x3 max-pooling, stride 2."""
    x = symmetric_padding(conv_bn(x, STEM_WIDTH, 3, 2, initial=initial, name="stem_conv"), 3, name="stem_pool")
    return keras.layers.MaxPooling2D(3, 2, data_format="channels_last", name="stem_pool")(x)


def cifar_stem(x: Any, initial: Rule | None = None) -> Any:
    """1x1, 24 filters."""
    return conv_bn(x, STEM_WIDTH, 1, initial=initial, name="stem_conv")


def pooled(x: Any, strides: int, name: str) -> Any:
    """3x3 mean. It counts the zeros of its padding."""
    x = symmetric_padding(x, 3, name=f"{name}_shortcut")
    return keras.layers.AveragePooling2D(3, strides, data_format="channels_last", name=f"{name}_shortcut")(x)


def unit(x: Any, filters: int, strides: int, at: BlockSites, *, groups: int, cifar: bool) -> Any:
    """Grouped 1x1 to a quarter of the filters, shuffle, depthwise 3x3 without activation, grouped 1x1.

    The branch of a stage's first unit has as many filters as the concatenation lacks; in the CIFAR form a quarter of
    those inside. The network's first unit has too few inputs to group.
    """
    first = at.number == 1
    branch = filters - x.shape[-1] if first else filters
    width = (branch if cifar else filters) // 4
    shortcut = at.shortcut(pooled(x, strides, at.name) if first else x)
    first_groups = 1 if x.shape[-1] == STEM_WIDTH else groups
    y = at.first_conv(at.input(x), width, 1, groups=first_groups, later_strides=strides)
    y = ChannelShuffle(groups, name=f"{at.name}_shuffle")(y)
    y = at.inner(depthwise_bn(y, 3, strides, activation=None, before_norm=at.before_norm, name=f"{at.name}_conv2"))
    y = at.residual(conv_bn(y, branch, 1, groups=groups, activation=None, name=f"{at.name}_conv3"))
    if first:
        y = keras.layers.Concatenate(name=f"{at.name}_concat")([shortcut, y])
    else:
        y = keras.layers.Add(name=f"{at.name}_add")([shortcut, y])
    return at.output(keras.layers.Activation("relu", name=f"{at.name}_relu")(y))


def shufflenet(x: Any, sites: Sites, head: Head, *, groups: int, cifar: bool = False) -> Any:
    """Stem, three stages that halve the map and double the width, head."""
    block = functools.partial(unit, groups=groups, cifar=cifar)
    stages = [
        stage_of_blocks(block, depth, sites, i, filters=width, strides=2)
        for i, (depth, width) in enumerate(zip(DEPTHS, WIDTHS[groups], strict=True), start=1)
    ]
    stem, stem_strides = (cifar_stem, 1) if cifar else (imagenet_stem, 4)
    return assemble(stem(x, normal(0.01)), stages, sites, head, stem_strides=stem_strides)


def imagenet(groups: int) -> Backbone:
    """The paper's form, 1x."""
    return Backbone(functools.partial(shufflenet, groups=groups), stages=3, paper=PAPER, sites=SITES, initial=INITIAL)


def cifar(groups: int) -> Backbone:
    """Stride 1 up to the first stage."""
    network = functools.partial(shufflenet, groups=groups, cifar=True)
    return Backbone(network, stages=3, paper=PAPER, sites=SITES, initial=INITIAL, **CIFAR)


BACKBONES: dict[str, Backbone] = {
    "shufflenet_g2": imagenet(2),
    "shufflenet_g3": imagenet(3),
    "shufflenet_g2_cifar": cifar(2),
    "shufflenet_g3_cifar": cifar(3),
}
