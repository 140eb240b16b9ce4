"""FCA: frequency channel attention."""

from __future__ import annotations

import re
from typing import Any

import keras
import numpy as np
from keras import ops

from kattn.layers.pieces.adaptive_pooling import averaging
from kattn.layers.pieces.pointwise import pointwise
from kattn.layers.pieces.statistics import in_full
from kattn.layers.pieces.widths import checked_reduction, feature_map_channels, hidden_width

GRID = 7  # side of the map on which the authors chose the frequencies
COUNTS = (1, 2, 4, 8, 16, 32)
# The 32 frequencies of each list: along the height, then along the width.
FREQUENCIES = {
    "top": ("00600114513000324635526553342261", "01052020060463526333511242113053"),
    "low": ("00110221203401301234501234561234", "01012012230043154321065432106543"),
    "bot": ("61332412445146256162243355625536", "64466314456522514350311242115333"),
}


def basis(frequency: int, side: int) -> np.ndarray:
    """The cosine of this frequency on `side` samples, of length 1."""
    scale = 1.0 if frequency == 0 else 2**0.5
    return np.cos(np.pi * frequency * (np.arange(side) + 0.5) / side) * scale / side**0.5


@keras.saving.register_keras_serializable("kattn")
class FrequencyChannelAttention(keras.Layer):
    """Channel gate from one frequency of each channel, where squeeze and excitation takes the mean.

    b(u, S, h) = cos(pi u (h + 1/2) / S) / sqrt(S) * (1 if u = 0 else sqrt(2))
    z = sum over h and w of x * b(u, H, h) * b(v, W, w)
    y = x * sigmoid(W2 relu(W1 z)), without biases

    The channels are in n consecutive parts, each with a frequency (u, v) of its own: u along the height, v along the
    width. They are given for a 7x7 map and multiplied by H // 7 and W // 7; below 7 pixels all are 0, and z is a sum.

    Args:
        reduction: Hidden width is channels // reduction, at least 1.
        frequencies: A list of the authors and how many of it: "top" (the best by themselves), "low" (the lowest) or
            "bot" (the worst), with 1, 2, 4, 8, 16 or 32. "top1" and "low1" are squeeze and excitation up to a factor.
        size: Height and width that the frequencies are of, one number or two; maps of another size are averaged to it
            for the squeeze. None: the map's own, which is what the authors' networks have at 224x224: 56, 28, 14, 7.
        return_attention: Also return the gate, (batch, 1, 1, channels).

    Where n does not divide the channels, which the authors' code refuses, channel c has frequency number c n // C.

    Shapes: (batch, height, width, channels) in and out; 2 * channels * hidden width parameters. Without `size`, height
        and width must be known.
    Raises: ValueError for an unknown list or count, a size or reduction below 1, an input that is no feature map, or a
        map of unknown size without `size`.
    Paper: Qin, Zhang, Wu, Li. FcaNet: Frequency Channel Attention Networks. ICCV 2021. arXiv:2012.11879
    Code: cfzd/FcaNet
    """

    def __init__(
        self,
        reduction: int = 16,
        frequencies: str = "top16",
        size: int | tuple[int, int] | None = None,
        return_attention: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        parts = re.fullmatch(r"([a-z]+)(\d+)", str(frequencies))
        if parts is None or parts[1] not in FREQUENCIES or int(parts[2]) not in COUNTS:
            raise ValueError(
                f"frequencies must be one of {', '.join(FREQUENCIES)} and one of {', '.join(map(str, COUNTS))}, "
                f'such as "top16". Received: frequencies={frequencies!r}'
            )
        sides = (size, size) if isinstance(size, int) else size
        if sides is not None and (len(sides) != 2 or min(sides) < 1):
            raise ValueError(f"size must be one or two numbers of at least 1, or None. Received: size={size}")
        self.reduction = checked_reduction(reduction)
        self.frequencies = frequencies
        self.size = None if sides is None else (int(sides[0]), int(sides[1]))
        self.return_attention = return_attention

    def build(self, input_shape: Any) -> None:
        """Create both convolutions."""
        channels = feature_map_channels(self, input_shape)
        if self.size is None and None in input_shape[1:3]:
            raise ValueError(
                "FCA's frequencies are those of a size: build it with a known height and width, or give size=. "
                f"Received: shape {tuple(input_shape)}"
            )
        hidden = hidden_width(channels, self.reduction)
        common: dict[str, Any] = {"use_bias": False, "dtype": self.dtype_policy}
        self.reduce = pointwise(hidden, activation="relu", name="reduce", **common)
        self.expand = pointwise(channels, activation="sigmoid", name="expand", **common)
        self.reduce.build((None, 1, 1, channels))
        self.expand.build((None, 1, 1, hidden))

    def cosines(self, axis: int, side: Any, channels: int) -> Any:
        """Each channel's cosine along the height (axis 0) or the width (axis 1), (side, channels).

        Averaging a map to another size and then weighing it is weighing it once, by the cosines taken back to its size.
        """
        name, count = self.frequencies[:3], int(self.frequencies[3:])
        numbers = [int(number) for number in FREQUENCIES[name][axis][:count]]
        wanted = self.size[axis] if self.size else side
        filters = np.stack([basis(number * (wanted // GRID), wanted) for number in numbers], axis=1)
        filters = filters[:, np.arange(channels) * count // channels].astype("float32")
        if not isinstance(side, int):
            return ops.matmul(ops.transpose(averaging(side, wanted)), filters)
        return filters if wanted == side else averaging(side, wanted).T @ filters

    def call(self, x: Any) -> Any:
        """Gate every channel of x."""
        full = in_full(x)
        height, width = ops.shape(x)[1:3]
        rows = ops.cast(self.cosines(0, height, x.shape[-1])[None, :, None], full.dtype)
        columns = ops.cast(self.cosines(1, width, x.shape[-1])[None, None], full.dtype)
        squeezed = ops.sum(ops.sum(full * columns, axis=2, keepdims=True) * rows, axis=1, keepdims=True)
        gate = self.expand(self.reduce(ops.cast(squeezed, x.dtype)))
        return (x * gate, gate) if self.return_attention else x * gate

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape, and the gate's where it is returned."""
        gate_shape = (input_shape[0], 1, 1, input_shape[-1])
        return (tuple(input_shape), gate_shape) if self.return_attention else input_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "reduction": self.reduction,
            "frequencies": self.frequencies,
            "size": list(self.size) if self.size else None,
            "return_attention": self.return_attention,
        }
