"""PSANet: point-wise spatial attention with weights for relative positions."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kattn.layers.pieces.align_corners import resize_align_corners
from kattn.layers.pieces.attend import positions, softmax, wide_dtype
from kattn.layers.pieces.conv_norm import ConvNormActivation
from kattn.layers.pieces.pointwise import pointwise
from kattn.layers.pieces.psa_mask import psa_mask
from kattn.layers.pieces.widths import feature_map_channels

MODES = {"collect": ("collect",), "distribute": ("distribute",), "both": ("collect", "distribute")}


def shrunk(size: Any, shrink: int) -> Any:
    """Samples left of `size` when every shrink-th is kept, the first among them."""
    return None if size is None else (size - 1) // shrink + 1


@keras.saving.register_keras_serializable("kattn")
class PointwiseSpatialAttention(keras.Layer):
    """Every position predicts how much it takes from, or gives to, each position by where that lies.

    r = relu(BN(W1 x)), shrunk;   m = W3 relu(BN(W2 r)): at each position one value a relative offset
    T[p, q] = m[p, offset from p to q], 0 outside the mask
    collect:    z_p = sum over q of softmax over q of T[p, q] * r_q
    distribute: z_q = sum over p of softmax over p of T[p, q] * r_p
    y = concat(x, relu(BN(W4 z)), enlarged);   both: two stacks of their own, z = concat(collect, distribute)

    Args:
        channels: Width of r.
        mode: "both", "collect" or "distribute".
        shrink: Factor by which the map is shrunk for the attention; corners stay aligned. Sizes with size - 1 divisible
            by it are what the authors' code takes; others are interpolated here.
        mask_size: (height, width) of the mask in offsets, odd. None: as many as the input's size needs, 2h - 1 by
            2w - 1 with h = (H - 1) // shrink + 1 (59x59 for crops of 465, the authors' default); the input's size must
            then be known. The weights belong to a mask size; inputs of another size work with a given mask_size:
            offsets beyond it get a logit of 0, not minus infinity, as in the code.
        compact: A mask of absolute targets, h by w, one a position, instead of offsets.
        softmax: True as in the code; the paper scales by 1/N instead (softmax=False, normalization=N).
        normalization: z is divided by it; None for the number of mask entries.
        return_attention: Also return the matrix of each stack, (batch, n, n), one row an output position.

    Shapes: (batch, height, width, C) to (batch, height, width, 2 C).
    Memory: n mh mw + n^2 values a stack and sample, n = h w the shrunk positions: (4 n + n) n with the default mask.
    Raises: ValueError for an unknown mode, a shrink below 1, a mask that is even or does not fit, an unknown input size
        without mask_size, or an input that is no feature map.
    Paper: Zhao, Zhang, Liu, Shi, Loy, Lin, Jia. PSANet: Point-wise Spatial Attention Network for Scene Parsing.
        ECCV 2018.
    Code: hszhao/semseg
    """

    def __init__(
        self,
        channels: int = 512,
        mode: str = "both",
        shrink: int = 2,
        mask_size: tuple[int, int] | None = None,
        compact: bool = False,
        softmax: bool = True,
        normalization: float | None = 1.0,
        return_attention: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if mode not in MODES:
            raise ValueError(f"mode must be one of {sorted(MODES)}. Received: mode={mode!r}")
        if shrink < 1:
            raise ValueError(f"shrink must be an integer of at least 1. Received: shrink={shrink}")
        if mask_size is not None and not compact and not all(side % 2 for side in mask_size):
            raise ValueError(f"mask_size must be odd, an offset of 0 in its middle. Received: mask_size={mask_size}")
        self.channels = channels
        self.mode = mode
        self.shrink = shrink
        self.mask_size = None if mask_size is None else (int(mask_size[0]), int(mask_size[1]))
        self.compact = compact
        self.softmax = softmax
        self.normalization = normalization
        self.return_attention = return_attention

    def build(self, input_shape: Any) -> None:
        """Create one stack a direction and the projection back, for the mask of the input's size."""
        channels = feature_map_channels(self, input_shape)
        self.mask = self._mask(input_shape)
        common: dict[str, Any] = {"dtype": self.dtype_policy}
        inner = (*input_shape[:-1], self.channels)
        self.reduce, self.hidden, self.offsets = {}, {}, {}
        for mode in MODES[self.mode]:
            self.reduce[mode] = ConvNormActivation(self.channels, name=f"{mode}_reduce", **common)
            self.hidden[mode] = ConvNormActivation(self.channels, name=f"{mode}_hidden", **common)
            self.offsets[mode] = pointwise(
                self.mask[0] * self.mask[1], use_bias=False, name=f"{mode}_offsets", **common
            )
            self.reduce[mode].build(input_shape)
            self.hidden[mode].build(inner)
            self.offsets[mode].build(inner)
        self.project = ConvNormActivation(channels, name="project", **common)
        self.project.build((*input_shape[:-1], len(MODES[self.mode]) * self.channels))

    def _mask(self, input_shape: Any) -> tuple[int, int]:
        height, width = (shrunk(size, self.shrink) for size in input_shape[1:3])
        known = height is not None and width is not None
        if self.compact and known and self.mask_size not in (None, (height, width)):
            raise ValueError(
                f"A compact mask has one entry a position of the shrunk input, {height}x{width}. "
                f"Received: mask_size={self.mask_size}"
            )
        if self.mask_size is not None:
            return self.mask_size
        if not known:
            raise ValueError(
                "The mask follows the input's height and width, which are unknown: give mask_size or a fixed size. "
                f"Received: shape {tuple(input_shape)}"
            )
        return (height, width) if self.compact else (2 * height - 1, 2 * width - 1)

    def call(self, x: Any, training: bool | None = None) -> Any:
        """The input beside what its positions took and were given."""
        _, height, width, _ = ops.shape(x)
        stacks = [self._stack(x, mode, training) for mode in MODES[self.mode]]
        z = stacks[0][0] if len(stacks) == 1 else ops.concatenate([z for z, _ in stacks], axis=-1)
        z = self.project(z, training=training)
        if self.shrink > 1:
            z = resize_align_corners(z, (height, width))
        y = ops.concatenate([x, z], axis=-1)
        return (y, *[attention for _, attention in stacks]) if self.return_attention else y

    def _stack(self, x: Any, mode: str, training: bool | None) -> tuple[Any, Any]:
        r = self._shrink(self.reduce[mode](x, training=training))
        m = self.offsets[mode](self.hidden[mode](r, training=training))
        m = ops.cast(m, wide_dtype(keras.backend.standardize_dtype(m.dtype)))
        if not self.compact:
            attention = psa_mask(m, self.mask, distribute=mode == "distribute")
        else:
            attention = positions(m)
            attention = ops.transpose(attention, (0, 2, 1)) if mode == "distribute" else attention
        attention = ops.cast(softmax(attention) if self.softmax else attention, r.dtype)
        normalization = self.mask[0] * self.mask[1] if self.normalization is None else self.normalization
        z = ops.matmul(attention, positions(r))
        z = z if normalization == 1 else z * (1.0 / normalization)
        return ops.reshape(z, (-1, *ops.shape(r)[1:])), attention

    def _shrink(self, r: Any) -> Any:
        _, height, width, _ = ops.shape(r)
        if self.shrink == 1:
            return r
        known = isinstance(height, int) and isinstance(width, int)
        if known and (height - 1) % self.shrink == 0 and (width - 1) % self.shrink == 0:
            return r[:, :: self.shrink, :: self.shrink]  # the samples the interpolation would hit exactly
        return resize_align_corners(r, (shrunk(height, self.shrink), shrunk(width, self.shrink)))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Twice the input's channels, and the matrices' shape where they are returned."""
        batch, height, width, channels = input_shape
        y = (batch, height, width, 2 * channels)
        if not self.return_attention:
            return y
        h, w = shrunk(height, self.shrink), shrunk(width, self.shrink)
        n = None if h is None or w is None else h * w
        return (y, *[(batch, n, n)] * len(MODES[self.mode]))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "channels": self.channels,
            "mode": self.mode,
            "shrink": self.shrink,
            "mask_size": self.mask_size,
            "compact": self.compact,
            "softmax": self.softmax,
            "normalization": self.normalization,
            "return_attention": self.return_attention,
        }
