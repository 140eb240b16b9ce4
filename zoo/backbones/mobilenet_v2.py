"""MobileNetV2: inverted residuals with linear ends, in ImageNet and CIFAR form.

A stage is all blocks of one resolution: BAM stands at the boundaries and ABN copies the last stage. A run of AFI is one
row of the paper's table, which is blocks of equal width; AFI halves the expansion, as in the AFI paper's
AFI-MobileNetV2. The sites `residual` and `output` are called in every block, also where the shape allows no sum: ECA's
authors gate every block's linear end.

The CIFAR form is that of the AFI paper's counts: stride 1 in the stem and in the 24-channel row, an expansion also
where its factor is 1, ReLU instead of ReLU6, and a projection as shortcut where only the width changes.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import keras

from kattn.layers.pieces.initial_weights import normal, zeros
from kattn.zoo.backbones.resnet import project
from kattn.zoo.backbones.row import CIFAR, Backbone, all_but
from kattn.zoo.grammar.assembly import Head, Stage, assemble
from kattn.zoo.grammar.convolutions import conv_bn, depthwise_bn
from kattn.zoo.grammar.initial_weights import InitialWeights
from kattn.zoo.grammar.placing import BlockSites, Sites

PAPER = "Sandler, Howard, Zhu, Zhmoginov, Chen. MobileNetV2. CVPR 2018. arXiv:1801.04381"
SITES = all_but("spatial_conv")
INITIAL = InitialWeights(dense=normal(0.01), dense_bias=zeros)  # torchvision's

Row = tuple[int, int, int]  # expansion, channels, blocks
IMAGENET_STAGES: tuple[tuple[Row, ...], ...] = (
    ((1, 16, 1),),
    ((6, 24, 2),),
    ((6, 32, 3),),
    ((6, 64, 4), (6, 96, 3)),
    ((6, 160, 3), (6, 320, 1)),
)
CIFAR_STAGES = (IMAGENET_STAGES[0] + IMAGENET_STAGES[1], *IMAGENET_STAGES[2:])


def scaled(channels: int, alpha: float) -> int:
    """alpha * channels to the nearest multiple of eight, not below 90 % of it: the authors' rounding."""
    wanted = alpha * channels
    rounded = max(8, int(wanted + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * wanted else rounded + 8


def inverted_residual(
    x: Any,
    filters: int,
    strides: int,
    at: BlockSites,
    *,
    expansion: int,
    activation: str,
    cifar: bool,
    padding: str = "same",
) -> Any:
    """1x1 to the expanded width, depthwise 3x3, linear 1x1 to the filters."""
    y = at.input(x)
    if expansion > 1 or cifar:
        y = at.first_conv(y, expansion * x.shape[-1], 1, later_strides=strides, activation=activation)
    depthwise = functools.partial(depthwise_bn, activation=activation, padding=padding, before_norm=at.before_norm)
    y = at.inner(depthwise(y, 3, strides, name=f"{at.name}_conv2"), widest=True)
    y = at.residual(conv_bn(y, filters, 1, activation=None, name=f"{at.name}_conv3"), widest=False)
    if strides == 1 and (cifar or x.shape[-1] == filters):
        shortcut = at.shortcut(project(x, filters, strides, at.name))
        y = keras.layers.Add(name=f"{at.name}_add")([shortcut, y])
    return at.output(y)


def mobilenet_v2(
    x: Any,
    sites: Sites,
    head: Head,
    *,
    alpha: float = 1.0,
    table: Sequence[Sequence[Row]] = IMAGENET_STAGES,
    activation: str = "relu6",
    cifar: bool = False,
    padding: str = "same",
) -> Any:
    """Stem, stages of rows, a 1x1 convolution to 1280 channels, head.

    Args:
        alpha: Factor of all widths, 0.35 to 1.4 in the paper. The last width grows with it and does not shrink.
        padding: Of the strided convolutions: "same", alike on all sides, as in the torch collections; "end", at the
            bottom and the right, as in the authors' TensorFlow code.
    """
    if padding not in ("same", "end"):
        raise ValueError(f"padding must be same or end. Received: padding={padding!r}")
    if alpha <= 0:
        raise ValueError(f"alpha must be above 0. Received: alpha={alpha}")

    def stage(number: int, rows: Sequence[Row], first: bool) -> Stage:
        def build(x: Any, strides: int, prefix: str) -> Any:
            at = sites.stage(number, sum(blocks for _, _, blocks in rows), prefix)
            x = at.stage_input(x)
            block = 0
            for expansion, channels, blocks in rows:
                at.start_run()
                for _ in range(blocks):
                    block += 1
                    x = inverted_residual(
                        x,
                        scaled(channels, alpha),
                        strides if block == 1 else 1,
                        at.block(block),
                        expansion=expansion,
                        activation=activation,
                        cifar=cifar,
                        padding=padding,
                    )
            return x

        return Stage(build, strides=1 if first else 2)

    stages = [stage(i, rows, first=i == 1) for i, rows in enumerate(table, start=1)]
    stem_strides = 1 if cifar else 2
    x = conv_bn(x, scaled(32, alpha), 3, stem_strides, activation=activation, padding=padding, name="stem_conv")
    widen = functools.partial(
        conv_bn, filters=scaled(1280, max(alpha, 1.0)), kernel_size=1, activation=activation, name="widen_conv"
    )
    return assemble(x, stages, sites, head, stem_strides=stem_strides, widen=widen)


BACKBONES: dict[str, Backbone] = {
    "mobilenet_v2": Backbone(
        mobilenet_v2,
        stages=len(IMAGENET_STAGES),
        paper=PAPER,
        sites=SITES,
        options=("alpha", "padding"),
        initial=INITIAL,
    ),
    "mobilenet_v2_cifar": Backbone(
        functools.partial(mobilenet_v2, table=CIFAR_STAGES, activation="relu", cifar=True),
        stages=len(CIFAR_STAGES),
        paper=PAPER,
        sites=SITES,
        options=("alpha",),
        initial=INITIAL,
        **CIFAR,
    ),
}
