"""BN-Inception as in the SE authors' Caffe file: ten inception modules.

A module is one block without a shortcut. `residual` and `output` both stand at its end, behind the concatenation, where
the authors put SE. A stage is all blocks of one resolution. The first is the pair of convolutions at stride 4: it has
no block, but a boundary behind it, so that BAM's three units stand at strides 4, 8 and 16 as in a ResNet.

Code: hujie-frank/SENet (SE-BN-Inception)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from kattn.zoo.backbones.row import Backbone
from kattn.zoo.grammar.assembly import Head, Stage, assemble
from kattn.zoo.grammar.convolutions import conv_bn, symmetric_padding
from kattn.zoo.grammar.placing import BlockSites, Sites

PAPER = "Ioffe, Szegedy. Batch Normalization. ICML 2015. arXiv:1502.03167"

# A module: 1x1 filters; (reduction, 3x3 filters); (reduction, filters of two 3x3); pooling and its 1x1 filters.
# A module that shrinks the map has no 1x1 branch, and its pooling no convolution.
Module = tuple[int, tuple[int, int], tuple[int, int], tuple[str, int]]
STAGES: tuple[tuple[Module, ...], ...] = (
    (
        (64, (64, 64), (64, 96), ("avg", 32)),
        (64, (64, 96), (64, 96), ("avg", 64)),
    ),
    (
        (0, (128, 160), (64, 96), ("max", 0)),
        (224, (64, 96), (96, 128), ("avg", 128)),
        (192, (96, 128), (96, 128), ("avg", 128)),
        (160, (128, 160), (128, 160), ("avg", 128)),
        (96, (128, 192), (160, 192), ("avg", 128)),
    ),
    (
        (0, (128, 192), (192, 256), ("max", 0)),
        (352, (192, 320), (160, 224), ("avg", 128)),
        (352, (192, 320), (192, 224), ("max", 128)),
    ),
)


def max_pool(x: Any, strides: int, name: str) -> Any:
    """3x3 max-pooling. On an even size the last windows reach beyond the bottom and the right: Caffe rounds up.

    On an odd size windows reach beyond all sides. Caffe's would not fit the strided convolutions beside it.
    """
    return keras.layers.MaxPooling2D(3, strides, "same", data_format="channels_last", name=name)(x)


def mean_pool(x: Any, name: str) -> Any:
    """3x3 mean. It counts the zeros of its padding, as Caffe does."""
    x = symmetric_padding(x, 3, name=name)
    return keras.layers.AveragePooling2D(3, 1, data_format="channels_last", name=name)(x)


def inception(x: Any, module: Module, strides: int, at: BlockSites) -> Any:
    """Up to four branches side by side."""
    single, (reduce3, width3), (reduce33, width33), (pooling, project) = module
    name = at.name
    branches = [conv_bn(x, single, 1, name=f"{name}_1x1")] if single else []
    y = conv_bn(x, reduce3, 1, name=f"{name}_3x3_reduce")
    branches.append(conv_bn(y, width3, 3, strides, name=f"{name}_3x3"))
    y = conv_bn(x, reduce33, 1, name=f"{name}_double_reduce")
    y = conv_bn(y, width33, 3, name=f"{name}_double_a")
    branches.append(conv_bn(y, width33, 3, strides, name=f"{name}_double_b"))
    y = mean_pool(x, name=f"{name}_pool") if pooling == "avg" else max_pool(x, strides, name=f"{name}_pool")
    branches.append(conv_bn(y, project, 1, name=f"{name}_project") if project else y)
    y = keras.layers.Concatenate(name=f"{name}_concat")(branches)
    return at.output(at.residual(y))


def bn_inception(x: Any, sites: Sites, head: Head) -> Any:
    """7x7 convolution, pooling, two convolutions, pooling, ten modules, head."""

    def convolutions(x: Any, strides: int, prefix: str) -> Any:
        x = conv_bn(x, 64, 1, name=f"{prefix}stage1_conv1")
        return conv_bn(x, 192, 3, name=f"{prefix}stage1_conv2")

    def modules(number: int, rows: Sequence[Module]) -> Stage:
        def build(x: Any, strides: int, prefix: str) -> Any:
            at = sites.stage(number, len(rows), prefix)
            x = at.stage_input(x)
            if number == 2 and strides > 1:
                x = max_pool(x, strides, name=f"{at.name}_pool")
            for i, row in enumerate(rows, start=1):
                x = inception(x, row, 1 if row[0] else strides, at.block(i))
            return x

        return Stage(build, strides=2)

    x = max_pool(conv_bn(x, 64, 7, 2, name="stem_conv"), 2, name="stem_pool")
    stages = [Stage(convolutions), *(modules(i, rows) for i, rows in enumerate(STAGES, start=2))]
    return assemble(x, stages, sites, head, stem_strides=4)


NOT_RESIDUAL = "AFI integrates maps along a residual path, and inception modules have no shortcut"

BACKBONES: dict[str, Backbone] = {
    "bn_inception": Backbone(
        bn_inception,
        stages=4,
        paper=PAPER,
        sites=("residual", "widest", "output", "stage_input", "between_stages", "conv_input", "tail"),
        reasons={
            "first_conv": NOT_RESIDUAL,
            "integrated": NOT_RESIDUAL,
            "spatial_conv": "its modules already have several 3x3 convolutions side by side, each of its own width",
        },
    )
}
