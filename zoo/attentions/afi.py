"""AFI in a network: the first convolution that computes half of its maps and takes the rest from earlier blocks."""

from __future__ import annotations

from typing import Any

import keras

from kattn.layers.attentive_feature_integration import AttentiveFeatureIntegration
from kattn.zoo.grammar.convolutions import conv_bn


class AFIConv:
    """The first convolutions of one stage's blocks.

    Block 1 keeps its full-width convolution. Every later block computes c = filters // 2 maps X and concatenates them
    with R, the integration of the stage's earlier maps: [X, R].

    Block 1 offers the consecutive slices of c channels of its activated convolution: two in a ResNet. Where there are
    fewer than two (MobileNetV2, whose width grows with the run), a block's own X is integrated too. So the module of
    block i scores i maps. This gives the paper's parameter counts to the digit and its multiply counts on CIFAR
    (2 + 3 + 4 + 5 maps in a stage of five blocks; MobileNetV2's 2.67 G); its text says one map less. Where the block
    has its stride behind this convolution, the slices are average-pooled to the stage's resolution.

    Where half the width is no whole number, or the convolution's groups do not divide it, R takes the next smaller
    width that they divide, and X the rest.

    Args:
        reduction: Hidden width of the scoring network is c // reduction, at least 1.
        use_bias: Biases of the scoring network; the paper's counts have none.
    """

    def __init__(self, reduction: int = 4, use_bias: bool = False) -> None:
        self.options: dict[str, Any] = {"reduction": reduction, "use_bias": use_bias}
        self.maps: list[Any] = []
        self.with_own = False

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
        groups = options.get("groups", 1)
        width = filters // 2 // groups * groups
        if width < 1 or not self.maps or self.maps[0].shape[-1] < width:
            # The stage's first block; or the first one that is wide enough (a width can more than double).
            y = conv_bn(x, filters, kernel_size, strides, name=name, **options)
            self.maps = [_shrink(y, later_strides, name)]
            self.with_own = False
            return y
        first, *later = self.maps
        self.with_own |= first.shape[-1] // width == 1 and not later
        y = conv_bn(x, filters - width, kernel_size, strides, name=name, **options)
        own = _shrink(y, later_strides, name)
        self.maps = [_whole_slices(one, width) for one in self.maps if one.shape[-1] >= width]
        maps = [*self.maps, _whole_slices(own, width)] if self.with_own else self.maps
        integrated = AttentiveFeatureIntegration(name=f"{name}_integrate", channels=width, **self.options)(maps)
        self.maps.append(own)
        return keras.layers.Concatenate(name=f"{name}_concat")([y, at.integrated(integrated)])


def _shrink(x: Any, strides: int, name: str) -> Any:
    if strides == 1:
        return x
    return keras.layers.AveragePooling2D(strides, padding="same", data_format="channels_last", name=f"{name}_pool")(x)


def _whole_slices(x: Any, width: int) -> Any:
    """As many channels as fill whole slices."""
    whole = x.shape[-1] // width * width
    return x if x.shape[-1] == whole else x[..., :whole]
