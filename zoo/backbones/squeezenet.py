"""SqueezeNet 1.1: fire modules, no normalisation.

A fire module is one block without a shortcut: `residual` and `output` both stand at its end. The max-pooling before a
stage is the stage's stride: BAM stands before the pooling, which fits its published size, and ABN's copy of the last
stage has none.

Version 1.1 is the authors' later release.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import keras

from kattn.layers.pieces.initial_weights import kaiming_uniform_fan_in, normal
from kattn.zoo.backbones.row import Backbone, require_size
from kattn.zoo.grammar.assembly import Head, Stage, assemble
from kattn.zoo.grammar.convolutions import conv
from kattn.zoo.grammar.initial_weights import InitialWeights
from kattn.zoo.grammar.placing import BlockSites, Sites

PAPER = "Iandola, Han, Moskewicz, Ashraf, Dally, Keutzer. SqueezeNet. 2016. arXiv:1602.07360"
STAGES = (  # (squeeze, expand) of each fire module
    ((16, 64), (16, 64)),
    ((32, 128), (32, 128)),
    ((48, 192), (48, 192), (64, 256), (64, 256)),
)
SMALLEST = 17  # an input that leaves the last stage a pixel


def conv_relu(x: Any, filters: int, kernel_size: int, strides: int = 1, *, name: str, **options: Any) -> Any:
    """Convolution with bias (options: of `conv`), ReLU."""
    x = conv(x, filters, kernel_size, strides, use_bias=True, name=name, **options)
    return keras.layers.Activation("relu", name=f"{name}_relu")(x)


def max_pool(x: Any, name: str) -> Any:
    """3x3 max-pooling with stride 2 that rounds up: the last windows may reach beyond the bottom and the right.

    The last row and column are repeated there, which changes no maximum. Where the size is odd no window reaches out.
    """
    height, width = x.shape[1:3]
    if height is None or width is None or height % 2 != width % 2:
        x = keras.layers.Concatenate(axis=1, name=f"{name}_rows")([x, x[:, -1:]])
        x = keras.layers.Concatenate(axis=2, name=f"{name}_columns")([x, x[:, :, -1:]])
        padding = "valid"
    else:
        padding = "valid" if height % 2 else "same"  # on an even size "same" is one row and column at the end
    return keras.layers.MaxPooling2D(3, 2, padding, data_format="channels_last", name=name)(x)


def fire(x: Any, squeeze: int, expand: int, at: BlockSites) -> Any:
    """1x1 to few channels; 1x1 and 3x3 side by side to twice `expand`."""
    x = conv_relu(x, squeeze, 1, name=f"{at.name}_squeeze")
    wide = [conv_relu(x, expand, k, name=f"{at.name}_expand{k}x{k}") for k in (1, 3)]
    x = keras.layers.Concatenate(name=f"{at.name}_concat")(wide)
    return at.output(at.residual(x))


def classifier(x: Any, head: Head) -> Any:
    """Dropout, a 1x1 convolution to the classes that starts small, ReLU, mean."""
    x = keras.layers.Dropout(0.5, name="dropout")(x)
    return head.global_average(conv_relu(x, head.classes, 1, initial=normal(0.01), name="logits"))


def squeezenet(x: Any, sites: Sites, head: Head) -> Any:
    """A strided convolution without padding, three stages of fire modules, head."""
    require_size(x, SMALLEST, "SqueezeNet")

    def stage(number: int, modules: tuple[tuple[int, int], ...]) -> Stage:
        def build(x: Any, strides: int, prefix: str) -> Any:
            at = sites.stage(number, len(modules), prefix)
            x = at.stage_input(x)
            if strides > 1:
                x = max_pool(x, name=f"{at.name}_pool")
            for i, (squeeze, expand) in enumerate(modules, start=1):
                x = fire(x, squeeze, expand, at.block(i))
            return x

        return Stage(build, strides=2)

    x = conv_relu(x, 64, 3, 2, padding="valid", name="stem_conv")
    stages = [stage(i, modules) for i, modules in enumerate(STAGES, start=1)]
    return assemble(x, stages, sites, dataclasses.replace(head, classifier=classifier), stem_strides=2)


NOT_RESIDUAL = "AFI integrates maps along a residual path, and fire modules have no shortcut"

BACKBONES: dict[str, Backbone] = {
    "squeezenet1_1": Backbone(
        squeezenet,
        stages=3,
        paper=PAPER,
        sites=("residual", "widest", "output", "stage_input", "between_stages", "conv_input", "tail"),
        reasons={
            "first_conv": NOT_RESIDUAL,
            "integrated": NOT_RESIDUAL,
            "spatial_conv": "the 3x3 convolution of a fire module is one of two side by side, without normalisation",
        },
        # torchvision's and the paper's: nothing normalises the maps, so the weights start by fan-in.
        initial=InitialWeights(conv=kaiming_uniform_fan_in),
    )
}
