"""Wide ResNet: few blocks, many filters.

- CIFAR, depth_widening: pre-activation basic blocks. `wide_resnet20_10` is the C3 paper's: post-activation, and 20
  counts as in a ResNet (three blocks a stage).
- ImageNet: a ResNet-18 with wider stages behind the unchanged stem (that of the SE, CBAM and BAM tables), and ResNet-50
  and -101 with the inner width of their bottlenecks doubled.
"""

from __future__ import annotations

from typing import Any

from kattn.zoo.backbones import preact_resnet, resnet
from kattn.zoo.backbones.row import Backbone
from kattn.zoo.grammar.placing import BlockSites

PAPER = "Zagoruyko, Komodakis. Wide Residual Networks. BMVC 2016. arXiv:1605.07146"


def cifar(depth: int, widening: int) -> Backbone:
    """Three stages of (depth - 4) / 6 pre-activation blocks."""
    widths = tuple(widening * width for width in (16, 32, 64))
    return preact_resnet.cifar(preact_resnet.basic_block, (depth - 4) // 6, widths=widths, paper=PAPER)


def wide_resnet18(widening: float) -> Backbone:
    """ResNet-18 with all stages, but not the stem, made wider."""
    widths = tuple(int(widening * width) for width in (64, 128, 256, 512))
    return resnet.imagenet(resnet.basic_block, 2, 2, 2, 2, widths=widths, paper=PAPER)


def wide_bottleneck(x: Any, filters: int, strides: int, at: BlockSites, **options: Any) -> Any:
    """Twice the inner width, the same output."""
    return resnet.bottleneck(x, filters, strides, at, width=2 * filters, **options)


BACKBONES: dict[str, Backbone] = {
    "wide_resnet16_8": cifar(16, 8),
    "wide_resnet28_10": cifar(28, 10),
    "wide_resnet40_4": cifar(40, 4),
    "wide_resnet20_10": resnet.cifar(resnet.basic_block, 3, widths=(160, 320, 640), paper=PAPER),
    "wide_resnet18_w15": wide_resnet18(1.5),
    "wide_resnet18_w20": wide_resnet18(2.0),
    "wide_resnet50_2": resnet.imagenet(wide_bottleneck, 3, 4, 6, 3, paper=PAPER),
    "wide_resnet101_2": resnet.imagenet(wide_bottleneck, 3, 4, 23, 3, paper=PAPER),
}
