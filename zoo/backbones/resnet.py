"""ResNet: CIFAR form (basic and bottleneck) and ImageNet form (v1.5, and v1 with the stride in the first 1x1).

He, Zhang, Ren, Sun. Deep Residual Learning for Image Recognition. CVPR 2016. arXiv:1512.03385
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras

from kattn.attention import BlockSites, Head, Sites, Stage, assemble, conv_bn, run_stage, unchanged
from kattn.zoo.backbone import CIFAR, Backbone

PAPER = "He, Zhang, Ren, Sun. Deep Residual Learning for Image Recognition. CVPR 2016. arXiv:1512.03385"


def cifar_stem(x: Any) -> Any:
    """3x3, 16 filters, stride 1."""
    return conv_bn(x, 16, 3, name="stem_conv")


def imagenet_stem(x: Any, filters: int = 64) -> Any:
    """7x7, 64 filters, stride 2; 3x3 max-pooling, stride 2."""
    x = conv_bn(x, filters, 7, 2, name="stem_conv")
    # Zeros do no harm to a maximum behind a ReLU; torch pads with minus infinity.
    x = keras.layers.ZeroPadding2D(1, data_format="channels_last", name="stem_pool_pad")(x)
    return keras.layers.MaxPooling2D(3, 2, data_format="channels_last", name="stem_pool")(x)


def project(x: Any, filters: int, strides: int, name: str) -> Any:
    """Shortcut option B: a 1x1 convolution where the shape changes."""
    if strides == 1 and x.shape[-1] == filters:
        return x
    return conv_bn(x, filters, 1, strides, activation=None, name=f"{name}_shortcut")


def add_relu(shortcut: Any, y: Any, name: str) -> Any:
    """End of a post-activation block."""
    y = keras.layers.Add(name=f"{name}_add")([shortcut, y])
    return keras.layers.Activation("relu", name=f"{name}_relu")(y)


def basic_block(x: Any, filters: int, strides: int, at: BlockSites) -> Any:
    """Two 3x3 convolutions."""
    shortcut = at.shortcut(project(x, filters, strides, at.name))
    y = at.inner(at.first_conv(at.input(x), filters, 3, strides))
    y = at.residual(conv_bn(y, filters, 3, activation=None, name=f"{at.name}_conv2"))
    return at.output(add_relu(shortcut, y, at.name))


def bottleneck(
    x: Any, filters: int, strides: int, at: BlockSites, *, width: int | None = None, groups: int = 1, v1: bool = False
) -> Any:
    """1x1, 3x3, 1x1 to four times the filters; the stride is in the 3x3 (v1.5) or in the first 1x1 (v1)."""
    width = width or filters
    early, late = (strides, 1) if v1 else (1, strides)
    shortcut = at.shortcut(project(x, 4 * filters, strides, at.name))
    y = at.first_conv(at.input(x), width, 1, early, later_strides=late)
    y = at.inner(at.spatial_conv(y, width, 3, late, groups=groups))
    y = at.residual(conv_bn(y, 4 * filters, 1, activation=None, name=f"{at.name}_conv3"))
    return at.output(add_relu(shortcut, y, at.name))


def resnet(
    x: Any,
    sites: Sites,
    head: Head,
    *,
    block: Callable[..., Any],
    depths: Sequence[int],
    widths: Sequence[int],
    stem: Callable[[Any], Any],
    stem_strides: int,
    finish: Callable[[Any], Any] = unchanged,
) -> Any:
    """Stem, stages of blocks that halve the map and change the width, head."""

    def stage(number: int, depth: int, width: int) -> Stage:
        def build(x: Any, strides: int, prefix: str) -> Any:
            return run_stage(x, block, depth, sites, number, filters=width, strides=strides, prefix=prefix)

        return Stage(build, strides=1 if number == 1 else 2)

    stages = [stage(i, depth, width) for i, (depth, width) in enumerate(zip(depths, widths, strict=True), start=1)]
    return assemble(stem(x), stages, sites, head, stem_strides=stem_strides, finish=finish)


def cifar(
    block: Callable[..., Any], depth: int, *, widths: Sequence[int] = (16, 32, 64), paper: str = PAPER, **options: Any
) -> Backbone:
    """Three stages of equal depth behind a stem of 16 filters."""
    network = functools.partial(
        resnet, block=block, depths=(depth,) * 3, widths=widths, stem=cifar_stem, stem_strides=1, **options
    )
    return Backbone(network, stages=3, paper=paper, **CIFAR)


def imagenet(
    block: Callable[..., Any],
    *depths: int,
    widths: Sequence[int] = (64, 128, 256, 512),
    paper: str = PAPER,
    **options: Any,
) -> Backbone:
    """Four stages behind the strided stem."""
    network = functools.partial(
        resnet, block=block, depths=depths, widths=widths, stem=imagenet_stem, stem_strides=4, **options
    )
    return Backbone(network, stages=4, paper=paper)


bottleneck_v1 = functools.partial(bottleneck, v1=True)

BACKBONES: dict[str, Backbone] = {
    "resnet20": cifar(basic_block, 3),
    "resnet32": cifar(basic_block, 5),
    "resnet44": cifar(basic_block, 7),
    "resnet56": cifar(basic_block, 9),
    "resnet110": cifar(basic_block, 18),
    "resnet65": cifar(bottleneck, 7),
    "resnet83": cifar(bottleneck, 9),
    "resnet164": cifar(bottleneck, 18),
    "resnet18": imagenet(basic_block, 2, 2, 2, 2),
    "resnet34": imagenet(basic_block, 3, 4, 6, 3),
    "resnet50": imagenet(bottleneck, 3, 4, 6, 3),
    "resnet101": imagenet(bottleneck, 3, 4, 23, 3),
    "resnet152": imagenet(bottleneck, 3, 8, 36, 3),
    "resnet50_v1": imagenet(bottleneck_v1, 3, 4, 6, 3),
    "resnet101_v1": imagenet(bottleneck_v1, 3, 4, 23, 3),
    "resnet152_v1": imagenet(bottleneck_v1, 3, 8, 36, 3),
}
