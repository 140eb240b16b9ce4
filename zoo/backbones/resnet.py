"""ResNet: CIFAR form (basic and bottleneck) and ImageNet form (v1.5, and v1 with the stride in the first 1x1).

The variants that published weights belong to are options: parameter-free shortcuts (A), and the deep stem and the
average-pooled shortcut of He, Zhang, Zhang, Zhang, Xie, Li. Bag of Tricks for Image Classification with Convolutional
Neural Networks. CVPR 2019. arXiv:1812.01187 (ResNet-D).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from kattn.zoo.backbones.row import CIFAR, Backbone, all_but
from kattn.zoo.grammar.assembly import Head, assemble, stage_of_blocks, unchanged
from kattn.zoo.grammar.convolutions import conv_bn
from kattn.zoo.grammar.initial_weights import RESNET, InitialWeights
from kattn.zoo.grammar.placing import BlockSites, Sites

PAPER = "He, Zhang, Ren, Sun. Deep Residual Learning for Image Recognition. CVPR 2016. arXiv:1512.03385"


def cifar_stem(x: Any) -> Any:
    """3x3, 16 filters, stride 1."""
    return conv_bn(x, 16, 3, name="stem_conv")


# Where the stem's max-pooling pads: torch on all sides; Caffe, which rounds up, at the bottom and the right.
POOL_PADDING = {"symmetric": 1, "end": ((0, 1), (0, 1))}
STEM_POOLS = (*POOL_PADDING, "conv")
SHORTCUTS = ("A", "A_end", "B", "D")
CIFAR_OPTIONS = ("depths", "widths", "shortcut", "zero_init_residual")
IMAGENET_OPTIONS = (*CIFAR_OPTIONS, "stem_widths", "stem_pool")


def imagenet_stem(
    x: Any, filters: int = 64, *, stem_widths: Sequence[int] | None = None, stem_pool: str = "symmetric"
) -> Any:
    """7x7, 64 filters, stride 2; 3x3 max-pooling, stride 2.

    Args:
        stem_widths, stem_pool: See `resnet`.
    """
    if stem_pool not in STEM_POOLS or (stem_pool == "conv" and stem_widths is None):
        raise ValueError(
            f"stem_pool must be one of {', '.join(STEM_POOLS)}, and conv needs stem_widths. "
            f"Received: stem_pool={stem_pool!r}, stem_widths={stem_widths}"
        )
    if stem_widths is None:
        x = conv_bn(x, filters, 7, 2, name="stem_conv")
    else:
        for i, width in enumerate(stem_widths, start=1):
            strides = 2 if i == 1 or (stem_pool == "conv" and i == len(stem_widths)) else 1
            x = conv_bn(x, width, 3, strides, name=f"stem_conv{i}")
    if stem_pool == "conv":
        return x
    # Behind a ReLU zeros change no maximum; torch pads with minus infinity.
    pad = POOL_PADDING[stem_pool]
    x = keras.layers.ZeroPadding2D(pad, data_format="channels_last", name="stem_pool_pad")(x)
    return keras.layers.MaxPooling2D(3, 2, data_format="channels_last", name="stem_pool")(x)


def project(x: Any, filters: int, strides: int, name: str, kind: str = "B") -> Any:
    """The shortcut where the shape changes.

    Args:
        kind: See `shortcut` of `resnet`.
    """
    if kind not in SHORTCUTS:
        raise ValueError(f"shortcut must be one of {', '.join(SHORTCUTS)}. Received: shortcut={kind!r}")
    if strides == 1 and x.shape[-1] == filters:
        return x
    name = f"{name}_shortcut" if kind != "D" else f"{name}_shortcut_d"
    if kind.startswith("A"):
        new = filters - x.shape[-1]
        before = 0 if kind == "A_end" else new // 2
        if strides > 1:
            x = keras.layers.MaxPooling2D(1, strides, data_format="channels_last", name=f"{name}_subsample")(x)
        return ops.pad(x, ((0, 0), (0, 0), (0, 0), (before, new - before)))
    if kind == "D" and strides > 1:
        # At the border of an odd size: the mean of the pixels there are, as torch's with ceil_mode and no padding.
        pool = keras.layers.AveragePooling2D(strides, strides, "same", data_format="channels_last", name=f"{name}_pool")
        x, strides = pool(x), 1
    return conv_bn(x, filters, 1, strides, activation=None, name=name)


def add_relu(shortcut: Any, y: Any, name: str) -> Any:
    """End of a post-activation block."""
    y = keras.layers.Add(name=f"{name}_add")([shortcut, y])
    return keras.layers.Activation("relu", name=f"{name}_relu")(y)


def basic_block(x: Any, filters: int, strides: int, at: BlockSites, *, shortcut: str = "B", gamma: str = "ones") -> Any:
    """Two 3x3 convolutions. `gamma` is the initializer of the last normalisation's scale, also in a bottleneck."""
    skip = at.shortcut(project(x, filters, strides, at.name, shortcut))
    y = at.inner(at.first_conv(at.input(x), filters, 3, strides))
    y = conv_bn(y, filters, 3, activation=None, gamma=gamma, before_norm=at.before_norm, name=f"{at.name}_conv2")
    y = at.residual(y)
    return at.output(add_relu(skip, y, at.name))


def bottleneck(
    x: Any,
    filters: int,
    strides: int,
    at: BlockSites,
    *,
    width: int | None = None,
    groups: int = 1,
    v1: bool = False,
    shortcut: str = "B",
    gamma: str = "ones",
) -> Any:
    """1x1, 3x3, 1x1 to four times the filters; the stride is in the 3x3 (v1.5) or in the first 1x1 (v1)."""
    width = width or filters
    early, late = (strides, 1) if v1 else (1, strides)
    skip = at.shortcut(project(x, 4 * filters, strides, at.name, shortcut))
    y = at.first_conv(at.input(x), width, 1, early, later_strides=late)
    y = at.inner(at.spatial_conv(y, width, 3, late, groups=groups, before_norm=at.before_norm))
    y = at.residual(conv_bn(y, 4 * filters, 1, activation=None, gamma=gamma, name=f"{at.name}_conv3"))
    return at.output(add_relu(skip, y, at.name))


def resnet(
    x: Any,
    sites: Sites,
    head: Head,
    *,
    block: Callable[..., Any],
    depths: Sequence[int],
    widths: Sequence[int],
    stem: Callable[..., Any],
    stem_strides: int,
    finish: Callable[[Any], Any] = unchanged,
    shortcut: str = "B",
    stem_widths: Sequence[int] | None = None,
    stem_pool: str = "symmetric",
    zero_init_residual: bool = False,
) -> Any:
    """Stem, stages of blocks, head. Each stage but the first halves the map.

    Args:
        block: (x, filters, strides, at) to x.
        depths: Blocks of each stage, one number a stage.
        widths: Filters of each stage, one number a stage.
        stem: The image to the first stage's input.
        stem_strides: Its stride.
        finish: See `assemble`.
        shortcut: Of the blocks that change the shape. "B": a strided 1x1 convolution. "A": every `strides`-th pixel,
            with zeros as new channels, half of them on either side as in the public CIFAR weights; "A_end": all zeros
            behind the channels, as in the authors' first torch code. "D": a strided average pooling, then a 1x1
            convolution (ResNet-D).
        stem_widths: Filters of the 3x3 convolutions that replace the stem's 7x7; the first of them has stride 2.
            (32, 32, 64) in ResNet-D, (24, 32, 64) in timm's ResNet-T.
        stem_pool: Padding of the stem's pooling: "symmetric", or "end" as in the Caffe definitions. "conv": no
            pooling; the last of the 3x3 convolutions has stride 2 instead.
        zero_init_residual: Start the scale of each residual branch's last normalisation at 0, so that blocks begin as
            their shortcuts: torchvision's option of this name. Goyal et al. Accurate, Large Minibatch SGD.
            arXiv:1706.02677
    """
    if len(depths) != sites.count or len(widths) != sites.count:
        raise ValueError(
            f"depths and widths need one number a stage, {sites.count}. Received: depths={depths}, widths={widths}"
        )
    if shortcut != "B":
        block = functools.partial(block, shortcut=shortcut)
    if zero_init_residual:
        block = functools.partial(block, gamma="zeros")
    if stem_widths is not None or stem_pool != "symmetric":
        stem = functools.partial(stem, stem_widths=stem_widths, stem_pool=stem_pool)
    stages = [
        stage_of_blocks(block, depth, sites, i, filters=width, strides=1 if i == 1 else 2)
        for i, (depth, width) in enumerate(zip(depths, widths, strict=True), start=1)
    ]
    return assemble(stem(x), stages, sites, head, stem_strides=stem_strides, finish=finish)


def own_of(options: dict[str, Any], of_users: tuple[str, ...]) -> dict[str, Any]:
    """Options and sites of a row. Pre-activation networks have a block end of their own, shortcuts that take the
    activated sum, and no normalisation behind a block's last convolution."""
    return {"options": of_users} if "finish" not in options else {"sites": all_but("before_norm")}


def cifar(
    block: Callable[..., Any],
    depth: int,
    *,
    widths: Sequence[int] = (16, 32, 64),
    paper: str = PAPER,
    initial: InitialWeights = RESNET,
    **options: Any,
) -> Backbone:
    """Three stages of equal depth behind a stem of 16 filters."""
    network = functools.partial(
        resnet, block=block, depths=(depth,) * 3, widths=widths, stem=cifar_stem, stem_strides=1, **options
    )
    own = own_of(options, CIFAR_OPTIONS)
    return Backbone(network, stages=3, paper=paper, initial=initial, **own, **CIFAR)


def imagenet(
    block: Callable[..., Any],
    *depths: int,
    widths: Sequence[int] = (64, 128, 256, 512),
    paper: str = PAPER,
    initial: InitialWeights = RESNET,
    **options: Any,
) -> Backbone:
    """Four stages behind the strided stem."""
    network = functools.partial(
        resnet, block=block, depths=depths, widths=widths, stem=imagenet_stem, stem_strides=4, **options
    )
    own = own_of(options, IMAGENET_OPTIONS)
    return Backbone(network, stages=4, paper=paper, initial=initial, **own)


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
