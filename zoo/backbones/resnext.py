"""ResNeXt: ResNet's bottleneck with a grouped 3x3 convolution, in ImageNet (v1.5 and v1) and CIFAR form."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from kattn.zoo.backbones.resnet import bottleneck, resnet
from kattn.zoo.backbones.resnet import imagenet as resnet_imagenet
from kattn.zoo.backbones.row import CIFAR, Backbone
from kattn.zoo.grammar.convolutions import conv_bn
from kattn.zoo.grammar.placing import BlockSites

PAPER = (
    "Xie, Girshick, Dollar, Tu, He. Aggregated Residual Transformations for Deep Neural Networks. CVPR 2017. "
    "arXiv:1611.05431"
)


def cifar_stem(x: Any, kernel_size: int = 3) -> Any:
    """64 filters at stride 1."""
    return conv_bn(x, 64, kernel_size, name="stem_conv")


def grouped(groups: int, group_width: int, v1: bool = False) -> Callable[..., Any]:
    """A bottleneck with a grouped 3x3 convolution.

    Args:
        groups: Number of groups, 32 in 32x4d.
        group_width: Width of each in the first stage, 4 in 32x4d; it grows with the filters.
    """

    def block(x: Any, filters: int, strides: int, at: BlockSites, **options: Any) -> Any:
        width = groups * group_width * filters // 64
        return bottleneck(x, filters, strides, at, width=width, groups=groups, v1=v1, **options)

    return block


def imagenet(block: Callable[..., Any], *depths: int) -> Backbone:
    """ResNet's four stages of such blocks."""
    return resnet_imagenet(block, *depths, paper=PAPER)


def cifar29(block: Callable[..., Any], stem: Callable[[Any], Any] = cifar_stem) -> Backbone:
    """Three stages of three blocks of 64, 128 and 256 filters, which give four times as many channels."""
    network = functools.partial(resnet, block=block, depths=(3, 3, 3), widths=(64, 128, 256), stem=stem, stem_strides=1)
    return Backbone(network, stages=3, paper=PAPER, options=("zero_init_residual",), **CIFAR)


BACKBONES: dict[str, Backbone] = {
    "resnext50_32x4d": imagenet(grouped(32, 4), 3, 4, 6, 3),
    "resnext101_32x4d": imagenet(grouped(32, 4), 3, 4, 23, 3),
    "resnext101_64x4d": imagenet(grouped(64, 4), 3, 4, 23, 3),
    "resnext50_32x4d_v1": imagenet(grouped(32, 4, v1=True), 3, 4, 6, 3),
    "resnext101_32x4d_v1": imagenet(grouped(32, 4, v1=True), 3, 4, 23, 3),
    # The network of the AFI paper's counts starts with a 1x1 convolution, as in the code base that it used.
    "resnext29_32x4d": cifar29(grouped(32, 4), stem=functools.partial(cifar_stem, kernel_size=1)),
    "resnext29_8x64d": cifar29(grouped(8, 64)),
}
