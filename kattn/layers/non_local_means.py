"""Non-local means: the classical denoising filter that non-local attention generalises."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kattn.layers.pieces.attend import positions
from kattn.layers.pieces.attend_maps import attend_maps, map_size
from kattn.layers.pieces.widths import feature_map_channels

DISTANCES = ("sum", "mean")
PADDINGS = ("reflect", "constant")


@keras.saving.register_keras_serializable("kattn")
class NonLocalMeans(keras.Layer):
    """Each pixel becomes the mean of those whose surroundings look like its own. No weights.

    d_pq = |V_p - V_q|^2, V_p the patch around p with all its channels
    y_p = sum over q of w_pq x_q / sum over q of w_pq, w_pq = exp(-d_pq / (2 sigma^2))

    The sum runs over the whole image, or over a square window around p as far as it lies in the image; p itself counts.
    The 2005 paper writes exp(-d / h^2) with a Gaussian-weighted patch; h^2 = 2 sigma^2 where, as here, it is flat.
    As sigma goes to 0 the result goes to the input, as it goes to infinity to the mean of the window.

    Over the whole image this is attention with logits (2 V_p.V_q - |V_q|^2) / (2 sigma^2) on centred patches. In a
    window the differences are taken themselves, which keeps all digits, and no other pair is ever looked at.

    Args:
        sigma: Distance at which similarity falls off, in the image's units.
        patch_size: Side of the patch, odd.
        search_size: Side of the window, odd; None is the whole image.
        distance: "sum" or "mean" of the squared differences over the patch and the channels.
        patch_padding: What patches see beyond the border: "reflect" (without repeating the edge) or "constant" zeros.
        return_attention: Also return the normalised weights.

    Shapes: (batch, height, width, channels) in and out; weights (batch, N, N) for the whole image, N = H * W, or
        (batch, N, search_size^2) for a window, row by row.
    Memory: 4 N^2 bytes a sample for the whole image, on a known size at most 64 MiB of it at a time (in training
        512) unless it is returned, and 4 N P^2 C for the patches; about 8 N S^2 for a window of side S.
    Raises: ValueError for an even size, a sigma that is not positive, an unknown distance or padding, a map that is not
        larger than the reflected border, or an input that is no feature map.
    Paper: Buades, Coll, Morel. A Non-Local Algorithm for Image Denoising. CVPR 2005.
    """

    def __init__(
        self,
        sigma: float = 0.1,
        patch_size: int = 3,
        search_size: int | None = None,
        distance: str = "sum",
        patch_padding: str = "reflect",
        return_attention: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for name, size in (("patch_size", patch_size), ("search_size", search_size)):
            if size is not None and (size < 1 or size % 2 == 0):
                raise ValueError(f"{name} must be odd, so that it has a centre. Received: {name}={size}")
        if sigma <= 0:
            raise ValueError(f"sigma must be positive. Received: sigma={sigma}")
        if distance not in DISTANCES or patch_padding not in PADDINGS:
            raise ValueError(
                f"distance must be one of {DISTANCES}, patch_padding one of {PADDINGS}. "
                f"Received: distance={distance!r}, patch_padding={patch_padding!r}"
            )
        self.sigma = sigma
        self.patch_size = patch_size
        self.search_size = search_size
        self.distance = distance
        self.patch_padding = patch_padding
        self.return_attention = return_attention

    @property
    def attention_kind(self) -> str:
        """What the weights are, for pictures: those of a window are no map of the whole image."""
        return "affinity" if self.search_size is None else "values"

    def build(self, input_shape: Any) -> None:
        """Check that the map is large enough for its border."""
        channels = feature_map_channels(self, input_shape)
        border = self.patch_size // 2
        if self.patch_padding == "reflect" and any(side is not None and side <= border for side in input_shape[1:3]):
            raise ValueError(
                f"Reflecting {border} pixels needs a map of more than {border} a side. Received: {tuple(input_shape)}"
            )
        values = self.patch_size**2 * channels if self.distance == "mean" else 1
        self.factor = 1.0 / (2.0 * self.sigma**2 * values)

    def call(self, x: Any, training: bool | None = None) -> Any:
        """Average over similar surroundings."""
        wide = ops.cast(x, "float32")  # weights are exponentials of differences of squares
        y, weights = self._whole(wide, training) if self.search_size is None else self._window(wide, self.search_size)
        y = ops.cast(y, x.dtype)
        return (y, weights) if self.return_attention else y

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape, and the weights' where they are returned."""
        if not self.return_attention:
            return input_shape
        positions = map_size(input_shape)
        return input_shape, (input_shape[0], positions, positions if self.search_size is None else self.search_size**2)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "sigma": self.sigma,
            "patch_size": self.patch_size,
            "search_size": self.search_size,
            "distance": self.distance,
            "patch_padding": self.patch_padding,
            "return_attention": self.return_attention,
        }

    def _pad(self, x: Any, border: int, mode: str) -> Any:
        return ops.pad(x, ((0, 0), (border, border), (border, border), (0, 0)), mode=mode) if border else x

    def _whole(self, x: Any, training: bool | None) -> tuple[Any, Any]:
        # Products of large values lose the digits of their difference: the mean goes first.
        centred = x - ops.mean(x, axis=(1, 2), keepdims=True)
        patches = shifts(self._pad(centred, self.patch_size // 2, self.patch_padding), self.patch_size)
        norms = ops.sum(ops.square(patches), axis=-1, keepdims=True)
        # |V_p|^2 is the same for all q and cancels; |V_q|^2 rides as one more feature.
        query = ops.pad(patches * (2.0 * self.factor), ((0, 0), (0, 0), (0, 0), (0, 1)), constant_values=1.0)
        key = ops.concatenate([patches, norms * -self.factor], axis=-1)
        return attend_maps(query, key, x, return_attention=self.return_attention, training=training)

    def _window(self, x: Any, size: int) -> tuple[Any, Any]:
        if size == 1:
            return x, ops.ones_like(positions(x)[:, :, :1])
        border, reach = self.patch_size // 2, size // 2
        padded = self._pad(x, border, self.patch_padding)
        differences, neighbours = 0.0, []
        for channel in range(x.shape[-1]):
            one = padded[..., channel : channel + 1]
            around = shifts(self._pad(one, reach, "constant"), size)  # (batch, H + P - 1, W + P - 1, size^2)
            differences = differences + ops.square(around - one)
            neighbours.append(self._inside(around, border))
        # The sum over the patch is the same for every pair of this offset: a box filter over the map.
        distances = ops.average_pool(
            differences, self.patch_size, strides=1, padding="valid", data_format="channels_last"
        ) * float(self.patch_size**2)
        _, height, width, _ = ops.shape(x)
        inside = shifts(self._pad(ops.ones((1, height, width, 1), "float32"), reach, "constant"), size)
        weights = ops.softmax(distances * -self.factor + (inside - 1.0) * 1e9, axis=-1)
        y = ops.concatenate([ops.sum(weights * around, axis=-1, keepdims=True) for around in neighbours], axis=-1)
        return y, positions(weights)

    def _inside(self, x: Any, border: int) -> Any:
        return x[:, border:-border, border:-border] if border else x


def shifts(x: Any, size: int) -> Any:
    """All size x size shifts of a map side by side in the channels, row by row; size - 1 smaller than the map.

    (batch, H + size - 1, W + size - 1, C) to (batch, H, W, size^2 C): 2 * size slices, where the patches' own
    operation has no counterpart in TFLite.
    """

    def along(t: Any, axis: int) -> Any:
        ends = [(i, i + 1 - size or None) for i in range(size)]
        parts = [t[:, start:end] if axis == 1 else t[:, :, start:end] for start, end in ends]
        return parts[0] if size == 1 else ops.concatenate(parts, axis=-1)

    return along(along(x, 2), 1)
