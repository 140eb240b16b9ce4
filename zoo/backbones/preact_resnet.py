"""Pre-activation ResNet: normalisation and ReLU before the convolutions, nothing after the sum.

As in the paper, the first block has no activation of its own: the stem's serves both of its paths. The last sum is
activated before the pooling. Where the shape changes, both paths share the activation, and the shortcut is a 1x1
convolution without normalisation. The authors' CIFAR bottlenecks have their stride in the first 1x1 convolution.
"""

from __future__ import annotations

import functools
from typing import Any

import keras

from kattn.layers.pieces.initial_weights import zeros
from kattn.zoo.backbones import resnet
from kattn.zoo.backbones.row import Backbone
from kattn.zoo.grammar.convolutions import bn_act, conv
from kattn.zoo.grammar.initial_weights import InitialWeights
from kattn.zoo.grammar.placing import BlockSites

PAPER = "He, Zhang, Ren, Sun. Identity Mappings in Deep Residual Networks. ECCV 2016. arXiv:1603.05027"
INITIAL = InitialWeights(dense_bias=zeros)  # the authors' Lua code, and that of Wide ResNet


def pre_activate(x: Any, at: BlockSites) -> Any:
    """The residual branch's input; the stem has already activated that of the network's first block."""
    first = at.stage.number == 1 and at.number == 1
    return x if first else bn_act(x, name=f"{at.name}_preact")


def project(x: Any, activated: Any, filters: int, strides: int, at: BlockSites) -> Any:
    """The block's input as it is; where the shape changes, a 1x1 convolution of the activated input."""
    if strides == 1 and x.shape[-1] == filters:
        return x
    return conv(activated, filters, 1, strides, name=f"{at.name}_shortcut")


def add(shortcut: Any, y: Any, at: BlockSites) -> Any:
    """End of a block."""
    return keras.layers.Add(name=f"{at.name}_add")([shortcut, y])


def finish(x: Any) -> Any:
    """Activation of the last sum."""
    return bn_act(x, name="finish")


def basic_block(x: Any, filters: int, strides: int, at: BlockSites) -> Any:
    """Two 3x3 convolutions. The normalisation and ReLU in front of the second belong to the first one's site."""
    activated = pre_activate(x, at)
    shortcut = at.shortcut(project(x, activated, filters, strides, at))
    y = at.inner(at.first_conv(at.input(activated), filters, 3, strides))
    y = at.residual(conv(y, filters, 3, name=f"{at.name}_conv2"))
    return at.output(add(shortcut, y, at))


def bottleneck(x: Any, filters: int, strides: int, at: BlockSites, *, v1: bool = False) -> Any:
    """1x1, 3x3, 1x1 to four times the filters; the stride is in the 3x3 or, with `v1`, in the first 1x1."""
    early, late = (strides, 1) if v1 else (1, strides)
    activated = pre_activate(x, at)
    shortcut = at.shortcut(project(x, activated, 4 * filters, strides, at))
    y = at.first_conv(at.input(activated), filters, 1, early, later_strides=late)
    y = at.inner(at.spatial_conv(y, filters, 3, late))
    y = at.residual(conv(y, 4 * filters, 1, name=f"{at.name}_conv3"))
    return at.output(add(shortcut, y, at))


cifar = functools.partial(resnet.cifar, finish=finish, paper=PAPER, initial=INITIAL)
imagenet = functools.partial(resnet.imagenet, finish=finish, paper=PAPER, initial=INITIAL)
bottleneck_v1 = functools.partial(bottleneck, v1=True)

BACKBONES: dict[str, Backbone] = {
    "preact_resnet110": cifar(basic_block, 18),
    "preact_resnet164": cifar(bottleneck_v1, 18),
    "preact_resnet18": imagenet(basic_block, 2, 2, 2, 2),
    "preact_resnet50": imagenet(bottleneck, 3, 4, 6, 3),
}
