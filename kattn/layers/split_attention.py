"""Split attention, ResNeSt's convolution."""

from __future__ import annotations

import functools
from typing import Any

import keras
from keras import ops

from kattn.layers.pieces.branches import as_rows, softmax_over, weighted_sum
from kattn.layers.pieces.grouped import GroupedConv2D
from kattn.layers.pieces.norms import batch_norm
from kattn.layers.pieces.widths import checked_reduction, feature_map_channels


@keras.saving.register_keras_serializable("kattn")
class SplitAttention(keras.Layer):
    """A convolution with `radix` outputs a channel, weighed against each other. Replaces a 3x3 convolution and its BN.

    U_1 .. U_R = relu(BN(conv(x))), with R * filters channels in groups * R groups
    a = softmax over r of W2 relu(BN(W1 mean(sum of U_r))); a sigmoid where R = 1
    y = sum of a_r * U_r

    Args:
        filters: Output channels.
        strides: The stride, see `average_down`.
        kernel_size: Odd side of the kernel.
        radix: R, the splits of each group.
        groups: Cardinality K: groups of the convolution and of W1 and W2.
        reduction: The hidden width is channels * radix // reduction, but at least
        min_hidden: this.
        average_down: Where the stride is. True: a 3x3 average pool that counts its padding follows the block, as in the
            released networks, also at stride 1 (they do so in the first block of each stage); False: in the
            convolution; None: True where strides > 1, else False.
        use_bias: Bias of the convolution; W1 and W2 always have one.
        return_attention: Also return a, (batch, radix, filters).

    Shapes: (batch, height, width, channels) to (batch, ceil(height / strides), ceil(width / strides), filters).
    Raises: ValueError for groups or a radix that do not divide, sizes out of range, or an input that is no feature map.
    Paper: Zhang et al. ResNeSt: Split-Attention Networks. 2020. arXiv:2004.08955
    Code: zhanghang1989/PyTorch-Encoding
    """

    def __init__(
        self,
        filters: int,
        strides: int = 1,
        kernel_size: int = 3,
        radix: int = 2,
        groups: int = 1,
        reduction: int = 4,
        min_hidden: int = 32,
        average_down: bool | None = None,
        use_bias: bool = False,
        return_attention: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if min(filters, strides, kernel_size, radix, groups, reduction, min_hidden) < 1 or kernel_size % 2 == 0:
            raise ValueError(
                "filters, strides, radix, groups, reduction and min_hidden must be positive, kernel_size odd. "
                f"Received: filters={filters}, strides={strides}, kernel_size={kernel_size}, radix={radix}, "
                f"groups={groups}, reduction={reduction}, min_hidden={min_hidden}"
            )
        if filters % groups:
            raise ValueError(f"groups must divide filters. Received: filters={filters}, groups={groups}")
        self.filters = filters
        self.strides = strides
        self.kernel_size = kernel_size
        self.radix = radix
        self.groups = groups
        self.reduction = checked_reduction(reduction)
        self.min_hidden = min_hidden
        self.average_down = average_down
        self.use_bias = use_bias
        self.return_attention = return_attention

    def build(self, input_shape: Any) -> None:
        """Create the convolution and the network that weighs its splits."""
        channels = feature_map_channels(self, input_shape)
        hidden = max(channels * self.radix // self.reduction, self.min_hidden)
        if channels % (self.groups * self.radix) or hidden % self.groups:
            raise ValueError(
                f"groups * radix = {self.groups} * {self.radix} must divide the input's {channels} channels, and "
                f"groups the hidden width {hidden}."
            )
        common: dict[str, Any] = {"data_format": "channels_last", "dtype": self.dtype_policy}
        self.pool = self.strides > 1 if self.average_down is None else self.average_down
        self.conv = GroupedConv2D(
            self.filters * self.radix,
            self.kernel_size,
            strides=1 if self.pool else self.strides,
            padding="same" if self.pool or self.strides == 1 else "valid",  # alike on all sides only at stride 1
            groups=self.groups * self.radix,
            use_bias=self.use_bias,
            kernel_initializer="he_normal",
            name="conv",
            **common,
        )
        self.conv.build((None, None, None, channels))
        self.conv_norm = batch_norm(name="conv_bn", dtype=self.dtype_policy)
        self.conv_norm.build((None, None, None, self.filters * self.radix))
        self.reduce = GroupedConv2D(hidden, 1, groups=self.groups, name="reduce", **common)
        self.reduce.build((None, 1, 1, self.filters))
        self.reduce_norm = batch_norm(name="reduce_bn", dtype=self.dtype_policy)
        self.reduce_norm.build((None, 1, 1, hidden))
        # W2 as one convolution a split: what it gives needs no reordering, whatever the cardinality.
        self.select = []
        for number in range(self.radix):
            select = GroupedConv2D(self.filters, 1, groups=self.groups, name=f"select{number}", **common)
            select.build((None, 1, 1, hidden))
            self.select.append(select)

    def call(self, x: Any, training: bool | None = None) -> Any:
        """Convolve and mix the splits."""
        if self.conv.padding == "valid":
            pad = self.kernel_size // 2
            x = ops.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
        packed = ops.relu(self.conv_norm(self.conv(x), training=training))
        # Slices, not ops.split: the ONNX converter has to transpose around a Split.
        bounds = range(0, self.filters * self.radix, self.filters)
        splits = [packed[..., first : first + self.filters] for first in bounds]
        squeezed = functools.reduce(ops.add, [ops.mean(u, axis=(1, 2), keepdims=True) for u in splits])
        hidden = ops.relu(self.reduce_norm(self.reduce(squeezed), training=training))
        scores = [select(hidden) for select in self.select]
        weights = softmax_over(scores) if self.radix > 1 else [ops.sigmoid(scores[0])]
        y = weighted_sum(splits, weights)
        if self.pool:
            y = ops.pad(y, ((0, 0), (1, 1), (1, 1), (0, 0)))
            y = ops.average_pool(y, 3, strides=self.strides, padding="valid", data_format="channels_last")
        return (y, as_rows(weights)) if self.return_attention else y

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The convolution's shape, and the weights' where they are returned."""
        batch, *sides, _ = input_shape
        shape = (batch, *(None if side is None else -(-side // self.strides) for side in sides), self.filters)
        return (shape, (batch, self.radix, self.filters)) if self.return_attention else shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "strides": self.strides,
            "kernel_size": self.kernel_size,
            "radix": self.radix,
            "groups": self.groups,
            "reduction": self.reduction,
            "min_hidden": self.min_hidden,
            "average_down": self.average_down,
            "use_bias": self.use_bias,
            "return_attention": self.return_attention,
        }
