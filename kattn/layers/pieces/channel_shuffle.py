"""The channel shuffle of grouped convolutions."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kattn.layers.pieces.widths import feature_map_channels


@keras.saving.register_keras_serializable("kattn")
class ChannelShuffle(keras.Layer):
    """Deals the channels of every group to all groups.

    Channel j of group i comes to place j * groups + i: (groups, channels / groups) is transposed. Pixels are flattened
    on the way, so no tensor has more than three dimensions: phone runtimes take no fifth.

    Args:
        groups: Of the convolution before; 2 interleaves two halves.

    Shapes: (batch, height, width, channels) in and out.
    Raises: ValueError for channels that the groups do not divide, or an input that is no feature map.
    Paper: Zhang, Zhou, Lin, Sun. ShuffleNet. CVPR 2018. arXiv:1707.01083
    """

    def __init__(self, groups: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if groups < 1:
            raise ValueError(f"groups must be at least 1. Received: groups={groups}")
        self.groups = groups

    def build(self, input_shape: Any) -> None:
        """Check the channels."""
        channels = feature_map_channels(self, input_shape)
        if channels % self.groups:
            raise ValueError(f"groups must divide the channels. Received: groups={self.groups}, channels={channels}")

    def call(self, x: Any) -> Any:
        """Transpose (groups, channels / groups)."""
        height, width, channels = x.shape[1:]
        shape = ops.shape(x) if height is None or width is None else (-1, height, width, channels)
        y = ops.transpose(ops.reshape(x, (-1, self.groups, channels // self.groups)), (0, 2, 1))
        return ops.reshape(y, shape)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "groups": self.groups}
