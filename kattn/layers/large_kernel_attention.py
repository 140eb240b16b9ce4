"""LKA: large kernel attention, the gate of the Visual Attention Network."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kattn.layers.pieces.initial_weights import Kernel, tensorflow_fan_out, zeros
from kattn.layers.pieces.pointwise import pointwise
from kattn.layers.pieces.widths import feature_map_channels

NEAR, FAR, DILATION = 5, 7, 3  # a 21x21 kernel, taken apart


@keras.saving.register_keras_serializable("kattn")
class LargeKernelAttention(keras.Layer):
    """A gate for every channel and position from a wide neighbourhood, by three cheap convolutions.

    LKA(x) = x * a, a = W(dw7(dw5(x)))
    y = LKA(x)                              project=False
    y = x + W2 LKA(gelu(W1 x))              project=True

    dw5 is a depthwise 5x5 convolution, dw7 a depthwise 7x7 one of dilation 3; all convolutions have biases. The gate is
    neither squashed nor bounded: y is quadratic in x.

    Args:
        project: Put LKA between two 1x1 convolutions, with a shortcut: the whole attention of a VAN block.
        return_attention: Also return a, (batch, height, width, channels).

    Shapes: (batch, height, width, channels) in and out.
    Raises: ValueError for an input that is no feature map.
    Paper: Guo, Lu, Liu, Cheng, Hu. Visual Attention Network. Computational Visual Media 2023. arXiv:2202.09741
    Code: Visual-Attention-Network/VAN-Classification
    """

    def __init__(self, project: bool = False, return_attention: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.project = project
        self.return_attention = return_attention

    def build(self, input_shape: Any) -> None:
        """Create the convolutions, which start as in the authors' code."""
        channels = feature_map_channels(self, input_shape)
        self.near = self._depthwise(NEAR, 1, input_shape, "near")
        self.far = self._depthwise(FAR, DILATION, input_shape, "far")
        names = ("mix", "enter", "leave") if self.project else ("mix",)
        for name in names:
            start = tensorflow_fan_out(Kernel(channels, channels))
            conv = pointwise(channels, kernel_initializer=start, name=name, dtype=self.dtype_policy)
            conv.build(input_shape)
            setattr(self, name, conv)

    def _depthwise(self, side: int, dilation: int, shape: Any, name: str) -> keras.Layer:
        kernel = Kernel(shape[-1], shape[-1], side**2, shape[-1])
        conv = keras.layers.DepthwiseConv2D(
            side,
            padding="same",
            dilation_rate=dilation,
            depthwise_initializer=tensorflow_fan_out(kernel),
            bias_initializer=zeros(kernel),
            data_format="channels_last",
            name=name,
            dtype=self.dtype_policy,
        )
        conv.build(shape)
        return conv

    def call(self, x: Any) -> Any:
        """Gate every value of x by its surroundings."""
        u = ops.gelu(self.enter(x), approximate=False) if self.project else x
        attention = self.mix(self.far(self.near(u)))
        y = u * attention
        if self.project:
            y = x + self.leave(y)
        return (y, attention) if self.return_attention else y

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape, and the gate's, the same, where it is returned."""
        return (tuple(input_shape), tuple(input_shape)) if self.return_attention else input_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "project": self.project, "return_attention": self.return_attention}
