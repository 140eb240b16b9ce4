"""SK: selective kernel convolution."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kattn.layers.pieces.branches import as_rows, softmax_over, weighted_sum
from kattn.layers.pieces.grouped import GroupedConv2D
from kattn.layers.pieces.norms import batch_norm
from kattn.layers.pieces.pointwise import pointwise
from kattn.layers.pieces.widths import checked_reduction, feature_map_channels

BN_MOMENTUM = 0.95  # of the authors' Caffe definition


@keras.saving.register_keras_serializable("kattn")
class SelectiveKernel(keras.Layer):
    """Convolutions of several receptive fields, weighed by channel against each other. Replaces a 3x3 convolution.

    U_m = relu(BN(conv_m(x))), one branch a dilation
    v = relu(BN(W1 mean(sum of U_m)))
    a = softmax over the branches of W2 v
    y = sum of a_m * U_m

    Args:
        filters: Output channels.
        strides: Stride of every branch.
        kernel_size: Odd side of the kernels, one number or one a branch.
        dilations: Dilation of each branch: (1, 2) is a 3x3 convolution beside one that stands for 5x5.
        groups: Groups of the convolutions; must divide the channels and the filters.
        reduction: The hidden width is filters // reduction, but at least
        min_hidden: this.
        split_input: Each branch takes an equal share of the input's channels, in order, as in timm; False, all of
            them, as in the paper.
        return_attention: Also return a, (batch, branches, filters).

    A stride s at a dilation that s divides touches every s-th pixel only: the branch convolves x[::s, ::s] at dilation
    / s, which is the same numbers for 1 / s^2 of the work. Other pairs of stride and dilation drop positions
    afterwards.

    Shapes: (batch, height, width, channels) to (batch, ceil(height / strides), ceil(width / strides), filters).
    Raises: ValueError for groups that do not divide, sizes out of range, or an input that is no feature map.
    Paper: Li, Wang, Hu, Yang. Selective Kernel Networks. CVPR 2019. arXiv:1903.06586
    Code: implus/SKNet. timm splits the input's channels between the branches (`split_input`) and has other limits
        of the hidden width.
    """

    def __init__(
        self,
        filters: int,
        strides: int = 1,
        kernel_size: int | Sequence[int] = 3,
        dilations: Sequence[int] = (1, 2),
        groups: int = 32,
        reduction: int = 16,
        min_hidden: int = 32,
        split_input: bool = False,
        return_attention: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        sides = [kernel_size] * len(dilations) if isinstance(kernel_size, int) else list(kernel_size)
        if not dilations or len(sides) != len(dilations) or any(side % 2 == 0 for side in sides):
            raise ValueError(
                "kernel_size must be one odd number, or one for each of the dilations, of which there must be some. "
                f"Received: kernel_size={kernel_size}, dilations={dilations}"
            )
        if min(filters, strides, groups, reduction, min_hidden, *sides, *dilations) < 1 or filters % groups:
            raise ValueError(
                "filters, strides, groups, reduction, min_hidden, kernel_size and dilations must be positive, and "
                f"groups must divide filters. Received: filters={filters}, strides={strides}, groups={groups}, "
                f"reduction={reduction}, min_hidden={min_hidden}, kernel_size={kernel_size}, dilations={dilations}"
            )
        self.filters = filters
        self.strides = strides
        self.kernel_size = kernel_size if isinstance(kernel_size, int) else tuple(kernel_size)
        self.dilations = tuple(dilations)
        self.groups = groups
        self.reduction = checked_reduction(reduction)
        self.min_hidden = min_hidden
        self.split_input = split_input
        self.return_attention = return_attention
        self._sides = sides

    def build(self, input_shape: Any) -> None:
        """Create the branches and the network that weighs them."""
        channels = feature_map_channels(self, input_shape)
        shares = len(self.dilations) if self.split_input else 1
        if channels % (self.groups * shares):
            raise ValueError(
                f"groups={self.groups}, times {shares} parts of the input, does not divide the input's {channels} "
                "channels."
            )
        self._share = channels // shares
        common: dict[str, Any] = {"dtype": self.dtype_policy}
        self.convs, self.norms, self.select = [], [], []
        hidden = max(self.filters // self.reduction, self.min_hidden)
        for number, (side, dilation) in enumerate(zip(self._sides, self.dilations, strict=True)):
            conv = GroupedConv2D(
                self.filters,
                side,
                strides=self.strides if dilation == 1 else 1,
                padding="same" if self.strides == 1 else "valid",  # alike on all sides only at stride 1
                dilation_rate=self._remaining_dilation(dilation),
                groups=self.groups,
                use_bias=False,
                kernel_initializer="he_normal",
                data_format="channels_last",
                name=f"branch{number}",
                **common,
            )
            conv.build((None, None, None, self._share))
            norm = batch_norm(momentum=BN_MOMENTUM, name=f"branch{number}_bn", **common)
            norm.build((None, None, None, self.filters))
            select = pointwise(self.filters, use_bias=False, name=f"select{number}", **common)
            select.build((None, 1, 1, hidden))
            self.convs.append(conv)
            self.norms.append(norm)
            self.select.append(select)
        self.reduce = pointwise(hidden, use_bias=False, name="reduce", **common)
        self.reduce.build((None, 1, 1, self.filters))
        self.reduce_norm = batch_norm(momentum=BN_MOMENTUM, name="reduce_bn", **common)
        self.reduce_norm.build((None, 1, 1, hidden))

    def _remaining_dilation(self, dilation: int) -> int:
        return dilation // self.strides if dilation > 1 and dilation % self.strides == 0 else dilation

    def _branch(self, x: Any, number: int, training: bool | None) -> Any:
        dilation, step = self.dilations[number], self.strides
        if self.split_input:
            x = x[..., number * self._share : (number + 1) * self._share]
        remaining = self._remaining_dilation(dilation)
        if step > 1 and remaining != dilation:
            x = x[:, ::step, ::step, :]
        if step > 1:
            pad = remaining * (self._sides[number] // 2)
            x = ops.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
        y = self.convs[number](x)
        if step > 1 and remaining == dilation != 1:
            y = y[:, ::step, ::step, :]
        return ops.relu(self.norms[number](y, training=training))

    def call(self, x: Any, training: bool | None = None) -> Any:
        """Convolve in every branch and mix the branches."""
        branches = [self._branch(x, number, training) for number in range(len(self.dilations))]
        squeezed = functools.reduce(ops.add, [ops.mean(u, axis=(1, 2), keepdims=True) for u in branches])
        hidden = ops.relu(self.reduce_norm(self.reduce(squeezed), training=training))
        weights = softmax_over([select(hidden) for select in self.select])
        y = weighted_sum(branches, weights)
        return (y, as_rows(weights)) if self.return_attention else y

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The convolution's shape, and the weights' where they are returned."""
        batch, *sides, _ = input_shape
        shape = (batch, *(None if side is None else -(-side // self.strides) for side in sides), self.filters)
        return (shape, (batch, len(self.dilations), self.filters)) if self.return_attention else shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "strides": self.strides,
            "kernel_size": self.kernel_size,
            "dilations": self.dilations,
            "groups": self.groups,
            "reduction": self.reduction,
            "min_hidden": self.min_hidden,
            "split_input": self.split_input,
            "return_attention": self.return_attention,
        }
