"""Xception: separable convolutions in pre-activation blocks, as in the author's Keras code.

A stage is all blocks of one resolution. The stride is a pooling at the end of its first block. AFI works in the run of
nine blocks of 728 filters and halves their first separable convolution. The two separable convolutions behind the last
block have no shortcut and belong to the last stage. In ABN's copy of it the pooling has stride 1.
"""

from __future__ import annotations

import functools
from typing import Any

import keras

from kattn.zoo.backbones.row import Backbone, all_but, require_size
from kattn.zoo.grammar.assembly import Head, Stage, assemble
from kattn.zoo.grammar.convolutions import conv_bn
from kattn.zoo.grammar.placing import BlockSites, Sites

PAPER = "Chollet. Xception. CVPR 2017. arXiv:1610.02357"
SMALLEST = 7  # of smaller images the unpadded stem leaves nothing
EPSILON = 1e-3  # the author's code
STAGES = (  # filters of each block's separable convolutions
    ((128, 128),),
    ((256, 256),),
    ((728, 728), *8 * ((728, 728, 728),)),
    ((728, 1024),),
)
LAST_WIDTHS = (1536, 2048)
conv_block = functools.partial(conv_bn, epsilon=EPSILON)


def block(x: Any, widths: tuple[int, ...], strides: int, at: BlockSites) -> Any:
    """ReLU and separable convolution, two or three times; a stage's first block pools, and projects its shortcut."""
    *inner, filters = widths
    shortcut = x
    first = at.number == 1
    if first:
        shortcut = conv_block(x, filters, 1, strides, activation=None, name=f"{at.name}_shortcut")
    y = keras.layers.Activation("relu", name=f"{at.name}_relu")(at.input(x))
    y = at.inner(at.first_conv(y, inner[0], 3, later_strides=strides, separable=True, epsilon=EPSILON))
    for i, width in enumerate(inner[1:], start=2):
        y = conv_block(y, width, 3, separable=True, name=f"{at.name}_conv{i}")
    y = conv_block(y, filters, 3, separable=True, activation=None, name=f"{at.name}_conv{len(widths)}")
    if first:
        y = keras.layers.MaxPooling2D(3, strides, "same", data_format="channels_last", name=f"{at.name}_pool")(y)
    return at.output(keras.layers.Add(name=f"{at.name}_add")([at.shortcut(shortcut), at.residual(y)]))


def xception(x: Any, sites: Sites, head: Head) -> Any:
    """Two convolutions, twelve blocks in four stages, two separable convolutions, head."""
    require_size(x, SMALLEST, "Xception")

    def stage(number: int, rows: tuple[tuple[int, ...], ...]) -> Stage:
        def build(x: Any, strides: int, prefix: str) -> Any:
            at = sites.stage(number, len(rows), prefix)
            x = at.stage_input(x)
            for i, widths in enumerate(rows, start=1):
                x = block(x, widths, strides if i == 1 else 1, at.block(i))
            if number == sites.count:
                for i, width in enumerate(LAST_WIDTHS, start=1):
                    x = conv_block(x, width, 3, separable=True, name=f"{at.name}_last{i}")
            return x

        return Stage(build, strides=2)

    x = conv_block(x, 32, 3, 2, padding="valid", name="stem_conv1")
    x = conv_block(x, 64, 3, padding="valid", name="stem_conv2")
    stages = [stage(i, rows) for i, rows in enumerate(STAGES, start=1)]
    return assemble(x, stages, sites, head, stem_strides=2)


BACKBONES: dict[str, Backbone] = {
    "xception": Backbone(
        xception,
        stages=4,
        paper=PAPER,
        input_shape=(299, 299, 3),
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        sites=all_but("spatial_conv", "before_norm"),  # its 3x3 convolutions are depthwise
    )
}
