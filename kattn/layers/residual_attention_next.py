"""RAN: the attention module of AttentionNeXt."""

from __future__ import annotations

from typing import Any

import keras

from kattn.layers.pieces.aggregated_bottleneck import AggregatedBottleneck
from kattn.layers.residual_attention import ResidualAttention


@keras.saving.register_keras_serializable("kattn")
class ResidualAttentionNeXt(ResidualAttention):
    """A residual attention module of ResNeXt units, which are activated behind their sum.

    z = units(x);   T = units(z)
    M = f(1x1-BN-ReLU-1x1 of the hourglass of z)
    y = unit((1 + M) * T)

    Args:
        depth: Times the map is halved: 3 at 56x56, 2 at 28x28, 1 at 14x14 in the published network.
        attention: f: "mixed", "channel" or "spatial", as in `ResidualAttention`.
        groups: Of the units' 3x3 convolutions; they divide its width.
        reduction: Width inside the units is channels // reduction, at least 1.
        **kwargs: The remaining arguments of `ResidualAttention`: pre_units, trunk_units, mask_units, return_attention.

    Shapes: (batch, height, width, channels) in and out. It has as many units as `ResidualAttention` and 2 C^2 + 2 C
        parameters more.
    Raises: ValueError for an unknown attention, counts below 1, groups that do not divide the width, or an input that
        is no feature map.
    Paper: Wang et al. Residual Attention Network for Image Classification. CVPR 2017. arXiv:1704.06904
    Code: fwang91/residual-attention-network
    """

    pre_activation = False

    def __init__(
        self, depth: int = 3, attention: str = "mixed", groups: int = 32, reduction: int = 2, **kwargs: Any
    ) -> None:
        super().__init__(depth, attention, reduction=reduction, **kwargs)
        self.groups = groups

    def _unit(self, channels: int, **options: Any) -> keras.Layer:
        return AggregatedBottleneck(channels, groups=self.groups, reduction=self.reduction, **options)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "groups": self.groups}
