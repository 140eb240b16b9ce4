"""SAN: the local-source residual attention group and the non-local group around it."""

from __future__ import annotations

from typing import Any

import keras

from kattn.layers.pieces.residual_block import ResidualBlock, same_conv
from kattn.layers.pieces.widths import checked_reduction, feature_map_channels
from kattn.layers.san_region_non_local import RegionNonLocal
from kattn.layers.san_soca import SecondOrderChannelAttention


@keras.saving.register_keras_serializable("kattn")
class LocalSourceResidualAttentionGroup(keras.Layer):
    """LSRAG: residual blocks, second-order channel attention, a convolution, and the way around all of them.

    y = x + conv(SOCA(RB(... RB(x))))

    Args:
        blocks: Number of residual blocks.
        kernel_size: Of all spatial convolutions, odd.
        reduction: Of the channel attention.
        iterations: Its Newton-Schulz steps.

    Shapes: (batch, height, width, channels) in and out. Memory is linear in N = H * W.
    Raises: ValueError for an even kernel size, a reduction below 1, or an input that is no feature map.
    Paper: Dai, Cai, Zhang, Xia, Zhang. Second-Order Attention Network for Single Image Super-Resolution. CVPR 2019.
        Its figure has the last convolution in the outer group; the authors' code, followed here, in this one.
    Code: daitao/SAN; it also holds a scalar gamma that is never used and is left out here.
    """

    def __init__(
        self, blocks: int = 10, kernel_size: int = 3, reduction: int = 16, iterations: int = 5, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.blocks = blocks
        self.kernel_size = kernel_size
        self.reduction = checked_reduction(reduction)
        self.iterations = iterations

    def build(self, input_shape: Any) -> None:
        """Create the blocks, the attention and the last convolution."""
        channels = feature_map_channels(self, input_shape)
        self.body = [
            ResidualBlock(self.kernel_size, name=f"block{i}", dtype=self.dtype_policy) for i in range(self.blocks)
        ]
        self.attention = SecondOrderChannelAttention(
            self.reduction, self.iterations, name="attention", dtype=self.dtype_policy
        )
        self.conv = same_conv(channels, self.kernel_size, name="conv", dtype=self.dtype_policy)
        for layer in (*self.body, self.attention, self.conv):
            layer.build(input_shape)

    def call(self, x: Any) -> Any:
        """Add what the group makes of x."""
        y = x
        for block in self.body:
            y = block(y)
        return x + self.conv(self.attention(y))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "blocks": self.blocks,
            "kernel_size": self.kernel_size,
            "reduction": self.reduction,
            "iterations": self.iterations,
        }


@keras.saving.register_keras_serializable("kattn")
class NonLocalResidualGroup(keras.Layer):
    """NLRG, the body of SAN: groups with a shared source between two passes of one region-level non-local block.

    F = RLNL(x); h_0 = F; h_g = LSRAG_g(h_(g-1)) + gamma * F
    y = RLNL(h_G) + x

    Both RLNL have the same weights, all groups one scalar gamma, which starts at zero. (The paper writes a
    convolution-like weight for it; the authors' code, followed here, has the scalar.)

    Args:
        groups: Number of LSRAG.
        blocks: Residual blocks of each.
        kernel_size: Of all spatial convolutions, odd.
        reduction: Of the channel attention.
        iterations: Its Newton-Schulz steps.
        inter_channels: Channels of the non-local block's theta, phi and g; None is C // 8, at least 1.
        regions: Its tiles a side.
        pool: Its pooling of keys and values.

    Shapes: (batch, height, width, channels) in and out; a side must have at least regions * pool positions.
    Memory: 4 N^2 / (regions^2 pool^2) bytes a sample for the attention maps, N = H * W: N^2 / 4 with the defaults.
    Raises: ValueError for a map too small for its tiles, an even kernel size, or an input that is no feature map.
    Paper: Dai, Cai, Zhang, Xia, Zhang. Second-Order Attention Network for Single Image Super-Resolution. CVPR 2019.
    Code: daitao/SAN; its last convolution is never called and is left out here.
    """

    def __init__(
        self,
        groups: int = 20,
        blocks: int = 10,
        kernel_size: int = 3,
        reduction: int = 16,
        iterations: int = 5,
        inter_channels: int | None = None,
        regions: int = 2,
        pool: int = 2,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.groups = groups
        self.blocks = blocks
        self.kernel_size = kernel_size
        self.reduction = checked_reduction(reduction)
        self.iterations = iterations
        self.inter_channels = inter_channels
        self.regions = regions
        self.pool = pool

    def build(self, input_shape: Any) -> None:
        """Create the non-local block, the groups and the shared weight."""
        self.non_local = RegionNonLocal(
            self.regions, inter_channels=self.inter_channels, pool=self.pool, name="non_local", dtype=self.dtype_policy
        )
        self.body = [
            LocalSourceResidualAttentionGroup(
                self.blocks,
                self.kernel_size,
                self.reduction,
                self.iterations,
                name=f"group{i}",
                dtype=self.dtype_policy,
            )
            for i in range(self.groups)
        ]
        self.non_local.build(input_shape)
        for group in self.body:
            group.build(input_shape)
        self.gamma = self.add_weight(shape=(), initializer="zeros", name="gamma")

    def call(self, x: Any) -> Any:
        """Non-local, groups, non-local, and the way around."""
        source = self.non_local(x)
        y = source
        for group in self.body:
            y = group(y) + self.gamma * source
        return self.non_local(y) + x

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "groups": self.groups,
            "blocks": self.blocks,
            "kernel_size": self.kernel_size,
            "reduction": self.reduction,
            "iterations": self.iterations,
            "inter_channels": self.inter_channels,
            "regions": self.regions,
            "pool": self.pool,
        }
