"""A grouped convolution whose groups share one kernel."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kattn.layers.pieces.grouped import GroupedConv2D
from kattn.layers.pieces.initial_weights import Kernel, torch_default


@keras.saving.register_keras_serializable("kattn")
class SharedGroupsConv2D(GroupedConv2D):
    """The same convolution, with bias, of every contiguous group of channels to as many: the groups as further samples.

    Args:
        filters: Channels of the input and of the output.
        kernel_size: Odd side of the kernel.
        groups: Number of groups.

    Shapes: (batch, height, width, filters) in and out; channels last, stride 1.
    """

    def __init__(self, filters: int, kernel_size: Any, groups: int, **kwargs: Any) -> None:
        options = {"padding": "same", "use_bias": False, "data_format": "channels_last"} | kwargs
        super().__init__(filters, kernel_size, groups=groups, **options)

    def build(self, input_shape: Any) -> None:
        """Create one group's kernel and bias, which start as torch's do."""
        width, side = self.filters // self.groups, self.kernel_size
        sizes = Kernel(width, width, side[0] * side[1])
        shape = (*side, width, width)
        self.shared_kernel = self.add_weight(shape=shape, initializer=torch_default(sizes), name="kernel")
        self.shared_bias = self.add_weight(shape=(width,), initializer=torch_default(sizes), name="bias")
        self.built = True

    @property
    def kernel(self) -> Any:
        """The kernel of all groups next to each other, (height, width, filters / groups, filters)."""
        return ops.tile(ops.convert_to_tensor(self.shared_kernel), (1, 1, 1, self.groups))

    # A Conv2D stores `kernel`, here a copy; what is stored are this layer's two weights.

    def save_own_variables(self, store: Any) -> None:
        """Store the shared kernel and bias."""
        keras.Layer.save_own_variables(self, store)

    def load_own_variables(self, store: Any) -> None:
        """Read them."""
        keras.Layer.load_own_variables(self, store)

    def call(self, x: Any) -> Any:
        """Convolve every group, add the bias."""
        bias = ops.tile(ops.convert_to_tensor(self.shared_bias), (self.groups,))
        return super().call(x) + bias
