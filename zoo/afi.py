"""AFI in a network: the first convolution that computes half of its maps and takes the rest from earlier blocks."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kattn.attention import conv_bn
from kattn.layers.attentive_feature_integration import AttentiveFeatureIntegration


class AFIConv:
    """The first convolutions of one stage's blocks.

    Block 1 keeps its full-width convolution. Every later block computes c = filters // 2 maps X and concatenates them
    with R, the integration of what the stage has so far: [X, R].

    What block 1 offers are the consecutive c-wide slices of its activated convolution (two in a ResNet): this reproduces
    the paper's parameter counts to the digit and its CIFAR multiply counts (2 + 3 + 4 + 5 scored maps in a stage of five
    blocks), where the text says less. Where its convolution comes before the block's stride, the slices are
    average-pooled to the stage's resolution.

    Args:
        reduction: Hidden width of the scoring network is c // reduction, at least 1.
        use_bias: Biases of the scoring network; the paper's counts have none.
    """

    def __init__(self, reduction: int = 4, use_bias: bool = False) -> None:
        self.options: dict[str, Any] = {"reduction": reduction, "use_bias": use_bias}
        self.maps: list[Any] = []

    def __call__(
        self,
        x: Any,
        filters: int,
        kernel_size: int,
        strides: int,
        *,
        name: str,
        at: Any,
        later_strides: int = 1,
        **options: Any,
    ) -> Any:
        """One block's first convolution: see `Attention.first_conv`."""
        width = filters // 2
        if not self.maps or self.maps[0].shape[-1] < width:
            # The stage's first block; or the first one wide enough to offer anything (a width can more than double).
            y = conv_bn(x, filters, kernel_size, strides, name=name, **options)
            self.maps = [_shrink(y, later_strides, name)]
            return y
        self.maps = [part for one in self.maps for part in _slices(one, width)]
        y = conv_bn(x, width, kernel_size, strides, name=name, **options)
        integrated = AttentiveFeatureIntegration(name=f"{name}_integrate", **self.options)(self.maps)
        self.maps.append(_shrink(y, later_strides, name))
        return keras.layers.Concatenate(name=f"{name}_concat")([y, at.integrated(integrated)])


def _shrink(x: Any, strides: int, name: str) -> Any:
    if strides == 1:
        return x
    return keras.layers.AveragePooling2D(strides, padding="same", data_format="channels_last", name=f"{name}_pool")(x)


def _slices(x: Any, width: int) -> list[Any]:
    count = x.shape[-1] // width
    if count == 1:
        return [x if x.shape[-1] == width else x[..., :width]]
    return list(ops.split(x[..., : count * width] if x.shape[-1] % width else x, count, axis=-1))
