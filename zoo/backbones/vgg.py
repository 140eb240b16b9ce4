"""VGG: 3x3 convolutions in five stages, three dense layers; with and without batch normalisation.

A stage is one block. `residual` and `output` stand behind its last convolution: the published cost of SE-VGG-16 fits
this place. The max-pooling before a stage is the stage's stride, so BAM stands before the pooling, and ABN's copy of
the last stage has none. The dense layers fix the input size; without the top any size works.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import keras

from kattn.layers.pieces.initial_weights import normal, zeros
from kattn.zoo.backbones.row import Backbone, require_size
from kattn.zoo.grammar.assembly import Head, Stage, assemble
from kattn.zoo.grammar.convolutions import bn_act, conv, dense
from kattn.zoo.grammar.initial_weights import InitialWeights
from kattn.zoo.grammar.placing import Sites

PAPER = "Simonyan, Zisserman. Very Deep Convolutional Networks. ICLR 2015. arXiv:1409.1556"
WIDTHS = (64, 128, 256, 512, 512)
SMALLEST = 32  # five times halved
INITIAL = InitialWeights(dense=normal(0.01), dense_bias=zeros)  # torchvision's


def max_pool(x: Any, name: str) -> Any:
    """2x2 max-pooling, stride 2."""
    return keras.layers.MaxPooling2D(2, 2, data_format="channels_last", name=name)(x)


def classifier(x: Any, head: Head) -> Any:
    """Two dense layers of 4096 with dropout, and one to the classes."""
    if None in x.shape[1:]:
        raise ValueError(
            f"VGG's dense layers need a known height and width. Received: a last map of {tuple(x.shape[1:])}. "
            'Give input_shape=(height, width, channels), or build with include_top=False, pooling="avg".'
        )
    x = keras.layers.Flatten(data_format="channels_last", name="flatten")(x)
    for number in (1, 2):
        x = dense(x, 4096, "relu", name=f"dense{number}")
        x = keras.layers.Dropout(0.5, name=f"dropout{number}")(x)
    return head.dense(x)


def vgg(x: Any, sites: Sites, head: Head, *, depths: Sequence[int], norm: bool) -> Any:
    """Five stages, each but the first behind a pooling; a last pooling; head."""
    require_size(x, SMALLEST, "VGG")

    def stage(number: int, depth: int, width: int) -> Stage:
        def build(x: Any, strides: int, prefix: str) -> Any:
            at = sites.stage(number, 1, prefix)
            x = at.stage_input(x)
            if strides > 1:
                x = max_pool(x, name=f"{at.name}_pool")
            block = at.block(1)
            for i in range(1, depth + 1):
                name = f"{at.name}_conv{i}"
                x = conv(x, width, 3, use_bias=True, name=name)
                x = bn_act(x, name=name) if norm else keras.layers.Activation("relu", name=f"{name}_relu")(x)
            return block.output(block.residual(x))

        return Stage(build, strides=1 if number == 1 else 2)

    def last_pool(x: Any) -> Any:
        return keras.layers.Identity(name="C5")(max_pool(x, name="last_pool"))

    stages = [stage(i, *row) for i, row in enumerate(zip(depths, WIDTHS, strict=True), start=1)]
    head = dataclasses.replace(head, classifier=classifier)
    return assemble(x, stages, sites, head, stem_strides=1, widen=last_pool)


def row(norm: bool, *depths: int) -> Backbone:
    """The paper's ImageNet form. With normalisation the convolutions keep their biases."""
    reason = "AFI integrates maps along a residual path, and VGG has no shortcut"
    return Backbone(
        functools.partial(vgg, depths=depths, norm=norm),
        stages=5,
        paper=PAPER,
        sites=("residual", "widest", "output", "stage_input", "between_stages", "conv_input", "tail"),
        reasons={
            "first_conv": reason,
            "integrated": reason,
            "spatial_conv": "its 3x3 convolutions are the whole network, with no 1x1 convolutions around them",
        },
        initial=INITIAL,
    )


BACKBONES: dict[str, Backbone] = {
    "vgg16": row(False, 2, 2, 3, 3, 3),
    "vgg19": row(False, 2, 2, 4, 4, 4),
    "vgg16_bn": row(True, 2, 2, 3, 3, 3),
    "vgg19_bn": row(True, 2, 2, 4, 4, 4),
}
