"""RNAN's residual local and non-local attention blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kattn.layers.pieces.pointwise import pointwise
from kattn.layers.pieces.residual_block import ResidualBlock
from kattn.layers.pieces.widths import feature_map_channels
from kattn.layers.rnan_non_local import RNANNonLocal


@keras.saving.register_keras_serializable("kattn")
class ResidualLocalAttentionBlock(keras.Layer):
    """RAB: residual blocks whose trunk is weighted by a mask that sees a wider neighbourhood.

    h = RB(x)                                                                     head
    T = RB(RB(h))                                                                 trunk
    M = sigmoid(W RB(m + up(RB(RB(down(m)))))), m = RB(h)                         mask
    y = RB(RB(h + T * M))                                                         tail

    down is a 3x3 convolution of stride 2 with one row of padding all around, up a 6x6 transposed convolution of
    stride 2. The authors' code fails on odd heights and widths, where up(down(m)) is a row or column too large; here
    that is cut off.

    Args:
        head_blocks, trunk_blocks, tail_blocks: Residual blocks (RB) of each part. The paper has as many at both ends,
            the authors' code, the default, 1 and 2.
        mask_blocks: Those of the mask before, between and after down and up.
        kernel_size: Of the residual blocks, odd.
        return_attention: Also return the mask M, of the output's shape.

    Shapes: (batch, height, width, channels) in and out. Memory is linear in N = H * W.
    Raises: ValueError for an even kernel size, other than three mask_blocks, or an input that is no feature map.
    Paper: Zhang, Li, Li, Zhong, Fu. Residual Non-local Attention Networks for Image Restoration. ICLR 2019.
        arXiv:1903.10082
    Code: yulunzhang/RNAN.
    """

    def __init__(
        self,
        head_blocks: int = 1,
        trunk_blocks: int = 2,
        mask_blocks: Sequence[int] = (1, 2, 1),
        tail_blocks: int = 2,
        kernel_size: int = 3,
        return_attention: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if len(mask_blocks) != 3:
            raise ValueError(f"mask_blocks must be three numbers. Received: mask_blocks={mask_blocks}")
        self.head_blocks = head_blocks
        self.trunk_blocks = trunk_blocks
        self.mask_blocks = tuple(mask_blocks)
        self.tail_blocks = tail_blocks
        self.kernel_size = kernel_size
        self.return_attention = return_attention

    def build(self, input_shape: Any) -> None:
        """Create head, trunk, mask and tail."""
        channels = feature_map_channels(self, input_shape)
        before, between, after = self.mask_blocks
        common: dict[str, Any] = {"data_format": "channels_last", "dtype": self.dtype_policy}
        self.head = self._residual_blocks("head", self.head_blocks)
        self.trunk = self._residual_blocks("trunk", self.trunk_blocks)
        self.mask_fine = self._mask_start() + self._residual_blocks("mask_fine", before)
        self.down = keras.layers.Conv2D(channels, 3, strides=2, name="down", **common)
        self.mask_coarse = self._residual_blocks("mask_coarse", between)
        self.up = keras.layers.Conv2DTranspose(channels, 6, strides=2, padding="same", name="up", **common)
        self.mask_merged = self._residual_blocks("mask_merged", after)
        self.gate = pointwise(channels, activation="sigmoid", name="gate", dtype=self.dtype_policy)
        self.tail = self._residual_blocks("tail", self.tail_blocks)
        convolutions = (self.down, self.up, self.gate)
        for layer in (
            *self.head,
            *self.trunk,
            *self.mask_fine,
            *self.mask_coarse,
            *self.mask_merged,
            *self.tail,
            *convolutions,
        ):
            layer.build((None, None, None, channels))

    def call(self, x: Any) -> Any:
        """Head, masked trunk, tail."""
        h = _run(self.head, x)
        mask = self._mask(h)
        y = _run(self.tail, h + _run(self.trunk, h) * mask)
        return (y, mask) if self.return_attention else y

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape, and again for the mask where it is returned."""
        return (tuple(input_shape), tuple(input_shape)) if self.return_attention else input_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "head_blocks": self.head_blocks,
            "trunk_blocks": self.trunk_blocks,
            "mask_blocks": self.mask_blocks,
            "tail_blocks": self.tail_blocks,
            "kernel_size": self.kernel_size,
            "return_attention": self.return_attention,
        }

    def _mask_start(self) -> list[keras.Layer]:
        """Layers of the mask before its first residual block."""
        return []

    def _mask(self, h: Any) -> Any:
        fine = _run(self.mask_fine, h)
        coarse = _run(self.mask_coarse, self.down(ops.pad(fine, ((0, 0), (1, 1), (1, 1), (0, 0)))))
        _, height, width, _ = ops.shape(fine)
        merged = fine + self.up(coarse)[:, :height, :width]
        return self.gate(_run(self.mask_merged, merged))

    def _residual_blocks(self, part: str, count: int) -> list[keras.Layer]:
        return [ResidualBlock(self.kernel_size, name=f"{part}{i}", dtype=self.dtype_policy) for i in range(count)]


@keras.saving.register_keras_serializable("kattn")
class ResidualNonLocalAttentionBlock(ResidualLocalAttentionBlock):
    """RNAB: a residual attention block whose mask sees the whole map.

    As ResidualLocalAttentionBlock, with m = RB(NL(h)); NL is an RNANNonLocal.

    Args:
        softmax_axis, inter_channels: Of the non-local block: "query" (the code) or "key" (the paper), and C // 2.
        Others: Those of ResidualLocalAttentionBlock.

    Shapes: (batch, height, width, channels) in and out.
    Memory: the non-local block's, 4 N^2 bytes a sample, N = H * W; on a map of known size at most 64 MiB at
        a time (in training 512).
    Raises: as ResidualLocalAttentionBlock and RNANNonLocal.
    Paper: Zhang, Li, Li, Zhong, Fu. Residual Non-local Attention Networks for Image Restoration. ICLR 2019.
        arXiv:1903.10082
    Code: yulunzhang/RNAN.
    """

    def __init__(self, softmax_axis: str = "query", inter_channels: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.softmax_axis = softmax_axis
        self.inter_channels = inter_channels

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "softmax_axis": self.softmax_axis, "inter_channels": self.inter_channels}

    def _mask_start(self) -> list[keras.Layer]:
        return [
            RNANNonLocal(
                self.softmax_axis, inter_channels=self.inter_channels, name="non_local", dtype=self.dtype_policy
            )
        ]


def _run(layers: Sequence[keras.Layer], x: Any) -> Any:
    for layer in layers:
        x = layer(x)
    return x
