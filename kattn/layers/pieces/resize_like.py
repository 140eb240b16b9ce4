"""Logits back to the size of the image."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kattn.layers.pieces.align_corners import resize_align_corners
from kattn.layers.pieces.widths import feature_map_channels


@keras.saving.register_keras_serializable("kattn")
class ResizeLike(keras.layers.Layer):
    """Bilinear resizing of a map to the height and width of another; the corner samples stay where they are.

    As the segmentation networks' authors enlarge their logits (PyTorch's align_corners=True): with an image of
    8 n + 1 pixels a side, the map of n + 1 lies on every eighth of them. Keras's own resizing aligns pixel edges only.

    Shapes: [(batch, height, width, channels), (batch, new height, new width, any)] to (batch, new height, new width,
        channels); any of the sizes may be unknown in advance.
    Raises: ValueError for inputs that are not two feature maps.
    """

    def build(self, input_shape: Any) -> None:
        """Check the shapes."""
        if not isinstance(input_shape[0], list | tuple) or len(input_shape) != 2:
            raise ValueError(f"ResizeLike takes a list of two maps. Received: shape {input_shape}")
        for shape in input_shape:
            feature_map_channels(self, shape)

    def call(self, inputs: Any) -> Any:
        """Resize inputs[0] to the size of inputs[1]."""
        x, like = inputs
        return resize_align_corners(x, tuple(ops.shape(like)[1:3]))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The size of the one, the channels of the other."""
        x, like = input_shape
        return x[0], *like[1:3], x[-1]
