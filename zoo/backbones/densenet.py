"""DenseNet: every layer takes all earlier ones of its block, concatenated. CIFAR (plain and BC) and ImageNet form.

For the sites, a dense block is a stage and a dense layer is a block: its residual branch makes the new maps, its
shortcut is the layer's input, and a concatenation takes the place of the sum. A transition belongs to no stage, so
ABN's copy of the last dense block has no stride to drop.

AFI was not published for DenseNet. Here it halves the convolution from which the layer makes its maps: the bottleneck's
1x1, with the normalisation and ReLU behind it; without a bottleneck, the layer's only convolution. The latter's maps
are integrated as they are, because the layers that use them normalise and activate them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras

from kattn.layers.pieces.initial_weights import kaiming_normal_fan_in, zeros
from kattn.zoo.backbones.resnet import imagenet_stem
from kattn.zoo.backbones.row import CIFAR, Backbone, all_but
from kattn.zoo.grammar.assembly import Head, Stage, assemble
from kattn.zoo.grammar.convolutions import bn_act, conv
from kattn.zoo.grammar.initial_weights import InitialWeights
from kattn.zoo.grammar.placing import BlockSites, Sites

PAPER = "Huang, Liu, van der Maaten, Weinberger. Densely Connected Convolutional Networks. CVPR 2017. arXiv:1608.06993"
SITES = all_but("inner", "before_norm")
CIFAR_INITIAL = InitialWeights(dense_bias=zeros)  # the authors'
IMAGENET_INITIAL = InitialWeights(conv=kaiming_normal_fan_in, dense_bias=zeros)  # torchvision's


def dense_layer(x: Any, growth: int, at: BlockSites, *, bottleneck: bool) -> Any:
    """`growth` new maps, made of all earlier ones and appended to them."""
    y = at.input(bn_act(x, name=f"{at.name}_preact"))
    if bottleneck:
        y = at.first_conv(y, 4 * growth, 1)
        y = at.spatial_conv(y, growth, 3, norm=False)
    else:
        y = at.first_conv(y, growth, 3, norm=False)
    y = keras.layers.Concatenate(name=f"{at.name}_append")([at.shortcut(x), at.residual(y)])
    return at.output(y)


def transition(x: Any, compression: float, name: str) -> Any:
    """Fewer channels at half the resolution."""
    x = bn_act(x, name=name)
    x = conv(x, int(compression * x.shape[-1]), 1, name=f"{name}_conv")
    return keras.layers.AveragePooling2D(2, data_format="channels_last", name=f"{name}_pool")(x)


def densenet(
    x: Any,
    sites: Sites,
    head: Head,
    *,
    depths: Sequence[int],
    growth: int,
    stem: Callable[[Any], Any],
    stem_strides: int,
    bottleneck: bool = True,
    compression: float = 0.5,
) -> Any:
    """Stem, dense blocks with transitions between them, head."""

    def stage(number: int, depth: int) -> Stage:
        def build(x: Any, strides: int, prefix: str) -> Any:
            at = sites.stage(number, depth, prefix)
            x = at.stage_input(x)
            for i in range(1, depth + 1):
                x = dense_layer(x, growth, at.block(i), bottleneck=bottleneck)
            return x

        shrink = functools.partial(transition, compression=compression, name=f"transition{number}")
        return Stage(build, transition=shrink, transition_strides=2)

    stages = [stage(i, depth) for i, depth in enumerate(depths, start=1)]
    finish = functools.partial(bn_act, name="finish")
    return assemble(stem(x), stages, sites, head, stem_strides=stem_strides, finish=finish)


def cifar_stem(x: Any, filters: int) -> Any:
    """3x3 at stride 1; the first layer normalises it."""
    return conv(x, filters, 3, name="stem_conv")


def cifar(depth: int, growth: int) -> Backbone:
    """Three plain dense blocks: no bottleneck, no compression."""
    options: dict[str, Any] = {"depths": ((depth - 4) // 3,) * 3, "bottleneck": False, "compression": 1.0}
    stem = functools.partial(cifar_stem, filters=16)
    network = functools.partial(densenet, growth=growth, stem=stem, stem_strides=1, **options)
    return Backbone(network, stages=3, paper=PAPER, sites=SITES, initial=CIFAR_INITIAL, **CIFAR)


def cifar_bc(depth: int, growth: int) -> Backbone:
    """Three dense blocks with bottlenecks (B) and compression (C)."""
    stem = functools.partial(cifar_stem, filters=2 * growth)
    depths = ((depth - 4) // 6,) * 3
    network = functools.partial(densenet, depths=depths, growth=growth, stem=stem, stem_strides=1)
    return Backbone(network, stages=3, paper=PAPER, sites=SITES, initial=CIFAR_INITIAL, **CIFAR)


def imagenet(*depths: int, growth: int = 32) -> Backbone:
    """Four dense blocks behind ResNet's stem, with bottlenecks and compression."""
    stem = functools.partial(imagenet_stem, filters=2 * growth)
    network = functools.partial(densenet, depths=depths, growth=growth, stem=stem, stem_strides=4)
    return Backbone(network, stages=4, paper=PAPER, sites=SITES, initial=IMAGENET_INITIAL)


BACKBONES: dict[str, Backbone] = {
    "densenet40_k12": cifar(40, 12),
    "densenet100_k12": cifar(100, 12),
    "densenet_bc100_k12": cifar_bc(100, 12),
    "densenet_bc190_k40": cifar_bc(190, 40),
    "densenet121": imagenet(6, 12, 24, 16),
    "densenet161": imagenet(6, 12, 36, 24, growth=48),
    "densenet169": imagenet(6, 12, 32, 32),
    "densenet201": imagenet(6, 12, 48, 32),
}
