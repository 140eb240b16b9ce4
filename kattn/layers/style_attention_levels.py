"""SANet's module: style attention on two levels of an encoder, merged."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kattn.layers.pieces.maps import nearest
from kattn.layers.style_attention import StyleAttention, channels_of


@keras.saving.register_keras_serializable("kattn")
class MultiLevelStyleAttention(StyleAttention):
    """Style attention on two levels of an encoder, merged.

    y = conv3x3(reflection_pad(SANet4(content4, style4) + upsample(SANet5(content5, style5))))

    The levels are VGG-19's relu4_1 and relu5_1, with weights of their own. The upsampling repeats the nearest pixel and
    ends at level 4's size, which is not twice level 5's where a side was odd.

    Args: those of StyleAttention, for both levels; use_bias also for the 3x3 convolution.

    Inputs: [content4, style4, content5, style5]; both contents have the same channels, content4 at least 2x2 positions.
    Shapes: content4's out; attention (batch, Nc, Ns) of level 4, then of level 5.
    Memory: 4 (Nc4 Ns4 + Nc5 Ns5) bytes a sample as in StyleAttention; 512x512 images: 68 MiB.
    Raises: ValueError for anything but four feature maps, or for contents of different channels.
    Paper: Park, Lee. Arbitrary Style Transfer With Style-Attentional Networks. CVPR 2019. arXiv:1812.02342
    """

    def build(self, input_shape: Any) -> None:
        """Create both levels and the merging convolution."""
        channels, _, deeper, _ = channels_of(self, input_shape, 4)
        content4, style4, content5, style5 = input_shape
        if channels != deeper:
            raise ValueError(f"Both content maps must have the same channels. Received: {channels} and {deeper}")
        common: dict[str, Any] = {"use_bias": self.use_bias, "dtype": self.dtype_policy}
        level: dict[str, Any] = {
            "epsilon": self.epsilon,
            "unbiased": self.unbiased,
            "return_attention": self.return_attention,
        }
        self.level4 = StyleAttention(name="level4", **level, **common)
        self.level5 = StyleAttention(name="level5", **level, **common)
        self.merge = keras.layers.Conv2D(channels, 3, data_format="channels_last", name="merge", **common)
        self.level4.build([content4, style4])
        self.level5.build([content5, style5])
        self.merge.build((None, None, None, channels))

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Attend on both levels, then merge."""
        content4, style4, content5, style5 = inputs
        fine = self.level4([content4, style4], training=training)
        coarse = self.level5([content5, style5], training=training)
        attention: tuple[Any, ...] = ()
        if self.return_attention:
            (fine, fine_attention), (coarse, coarse_attention) = fine, coarse
            attention = (fine_attention, coarse_attention)
        merged = fine + nearest(coarse, *ops.shape(fine)[1:3])
        y = self.merge(ops.pad(merged, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect"))
        return (y, *attention) if self.return_attention else y

    def compute_output_shape(self, input_shape: Any) -> Any:
        """content4's shape, and both attentions' where they are returned."""
        content4, style4, content5, style5 = input_shape
        fine = super().compute_output_shape([content4, style4])
        if not self.return_attention:
            return fine
        return *fine, super().compute_output_shape([content5, style5])[1]
