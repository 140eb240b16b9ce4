"""Inception-ResNet-v2 in the form of TF-slim, which all published weights have.

A stage is all blocks of one resolution. The first is the pair of convolutions at stride 4: it has no residual block,
but a boundary behind it, so that BAM's three units stand at strides 4, 8 and 16 as in a ResNet. Mixed-5b and the
reductions begin their stages and are no residual blocks. In ABN's copy of the last stage the reduction pads and keeps
the size.

AFI: every branch of a block starts with a 1x1 convolution. Each branch is a run of first convolutions of its own.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import keras

from kattn.layers.pieces.initial_weights import torch_default
from kattn.zoo.backbones.row import Backbone, all_but, require_size
from kattn.zoo.grammar.assembly import Head, Stage, assemble
from kattn.zoo.grammar.convolutions import conv, conv_bn
from kattn.zoo.grammar.initial_weights import InitialWeights
from kattn.zoo.grammar.placing import BlockSites, Sites

PAPER = "Szegedy, Ioffe, Vanhoucke, Alemi. Inception-v4, Inception-ResNet. AAAI 2017. arXiv:1602.07261"
SMALLEST = 75  # of smaller images the unpadded convolutions leave nothing
EPSILON = 1e-3  # TF-slim's
conv_block = functools.partial(conv_bn, epsilon=EPSILON)

# A residual block's branches: width of the first 1x1 convolution, then (filters, window) of those behind it.
Branch = tuple[int, tuple[tuple[int, int | tuple[int, int]], ...]]
BLOCK35: tuple[Branch, ...] = ((32, ()), (32, ((32, 3),)), (32, ((48, 3), (64, 3))))
BLOCK17: tuple[Branch, ...] = ((192, ()), (128, ((160, (1, 7)), (192, (7, 1)))))
BLOCK8: tuple[Branch, ...] = ((192, ()), (192, ((224, (1, 3)), (256, (3, 1)))))
# A reduction's branches beside its max-pooling: filters. The last convolution of each branch has the stride.
REDUCTION_A = ((384,), (256, 256, 384))
REDUCTION_B = ((256, 384), (256, 288), (256, 288, 320))


def max_pool(x: Any, name: str, strides: int = 2) -> Any:
    """3x3 max-pooling, unpadded where it strides."""
    padding = "valid" if strides > 1 else "same"
    return keras.layers.MaxPooling2D(3, strides, padding, data_format="channels_last", name=name)(x)


def residual_block(
    x: Any, branches: tuple[Branch, ...], scale: float, at: BlockSites, *, activation: str | None = "relu"
) -> Any:
    """Branches side by side, a linear 1x1 convolution back to the input's width, scaled and added."""
    branch_input, ends = at.input(x), []
    for i, (width, later) in enumerate(branches, start=1):
        y = at.first_conv(branch_input, width, 1, branch=f"branch{i}", epsilon=EPSILON)
        for j, (filters, window) in enumerate(later, start=2):
            y = conv_block(y, filters, window, name=f"{at.name}_branch{i}_conv{j}")
        ends.append(y)
    y = at.inner(keras.layers.Concatenate(name=f"{at.name}_concat")(ends))
    y = at.residual(conv(y, x.shape[-1], 1, use_bias=True, name=f"{at.name}_up"))
    y = keras.layers.Rescaling(scale, name=f"{at.name}_scale")(y)
    y = keras.layers.Add(name=f"{at.name}_add")([at.shortcut(x), y])
    if activation:
        y = keras.layers.Activation(activation, name=f"{at.name}_{activation}")(y)
    return at.output(y)


def mixed_5b(x: Any, strides: int, name: str) -> Any:
    """A strided pooling, then the network's only inception module without a shortcut."""
    x = max_pool(x, name=f"{name}_pool", strides=strides)
    single = conv_block(x, 96, 1, name=f"{name}_1x1")
    y5 = conv_block(conv_block(x, 48, 1, name=f"{name}_5x5_reduce"), 64, 5, name=f"{name}_5x5")
    y3 = conv_block(x, 64, 1, name=f"{name}_double_reduce")
    y3 = conv_block(conv_block(y3, 96, 3, name=f"{name}_double_a"), 96, 3, name=f"{name}_double_b")
    mean = keras.layers.AveragePooling2D(3, 1, "same", data_format="channels_last", name=f"{name}_mean")(x)
    mean = conv_block(mean, 64, 1, name=f"{name}_project")
    return keras.layers.Concatenate(name=f"{name}_concat")([single, y5, y3, mean])


def reduction(x: Any, strides: int, name: str, *, branches: tuple[tuple[int, ...], ...]) -> Any:
    """Strided 3x3 convolutions beside a max-pooling; a branch of several convolutions starts with a 1x1."""
    ends = []
    for i, widths in enumerate(branches, start=1):
        y = x
        for j, width in enumerate(widths, start=1):
            last, branch_name = j == len(widths), f"{name}_branch{i}_conv{j}"
            window = 1 if j == 1 and not last else 3
            padding = "valid" if last and strides > 1 else "same"
            y = conv_block(y, width, window, strides if last else 1, padding=padding, name=branch_name)
        ends.append(y)
    return keras.layers.Concatenate(name=f"{name}_concat")([*ends, max_pool(x, f"{name}_pool", strides)])


def classifier(x: Any, head: Head) -> Any:
    """Mean, dropout, dense layer."""
    return head.dense(keras.layers.Dropout(0.2, name="dropout")(head.global_average(x)))


def inception_resnet_v2(x: Any, sites: Sites, head: Head) -> Any:
    """Stem; two convolutions; 10, 20 and 10 residual blocks; a 1x1 convolution; head."""
    require_size(x, SMALLEST, "Inception-ResNet-v2")

    def convolutions(x: Any, strides: int, prefix: str) -> Any:
        x = conv_block(max_pool(x, "stage1_pool"), 80, 1, name="stage1_conv1")
        return conv_block(x, 192, 3, padding="valid", name="stage1_conv2")

    def stage(number: int, begin: Callable[..., Any], branches: tuple[Branch, ...], blocks: int, scale: float) -> Stage:
        def build(x: Any, strides: int, prefix: str) -> Any:
            at = sites.stage(number, blocks, prefix)
            x = begin(at.stage_input(x), strides, f"{at.name}_begin")
            for i in range(1, blocks + 1):
                if number == sites.count and i == blocks:  # the network's last block: no scale, no activation
                    x = residual_block(x, branches, 1.0, at.block(i), activation=None)
                else:
                    x = residual_block(x, branches, scale, at.block(i))
            return x

        return Stage(build, strides=2)

    x = conv_block(x, 32, 3, 2, padding="valid", name="stem_conv1")
    x = conv_block(x, 32, 3, padding="valid", name="stem_conv2")
    x = conv_block(x, 64, 3, name="stem_conv3")
    stages = [
        Stage(convolutions, strides=2),
        stage(2, mixed_5b, BLOCK35, 10, 0.17),
        stage(3, functools.partial(reduction, branches=REDUCTION_A), BLOCK17, 20, 0.10),
        stage(4, functools.partial(reduction, branches=REDUCTION_B), BLOCK8, 10, 0.20),
    ]

    def widen(x: Any) -> Any:
        return conv_block(x, 1536, 1, name="last_conv")

    head = dataclasses.replace(head, classifier=classifier)
    return assemble(x, stages, sites, head, stem_strides=2, widen=widen)


BACKBONES: dict[str, Backbone] = {
    "inception_resnet_v2": Backbone(
        inception_resnet_v2,
        stages=4,
        paper=PAPER,
        input_shape=(299, 299, 3),
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        sites=all_but("spatial_conv", "before_norm"),
        initial=InitialWeights(conv=torch_default, conv_bias=torch_default),  # timm's
        reasons={"spatial_conv": "its blocks have several branches, and no 3x3 convolution that strides"},
    )
}
