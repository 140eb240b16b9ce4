"""GE: gather-excite."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from kattn.layers.pieces.maps import nearest
from kattn.layers.pieces.norms import batch_norm
from kattn.layers.pieces.pointwise import pointwise
from kattn.layers.pieces.widths import checked_reduction, feature_map_channels, hidden_width

VARIANTS = ("theta_minus", "theta", "theta_plus")
BN_MOMENTUM = 0.95  # of the authors' Caffe definition


@keras.saving.register_keras_serializable("kattn")
class GatherExcite(keras.Layer):
    """Gate from what each channel gathers over a neighbourhood, or over the whole map.

    y = x * sigmoid(up(G(x))), up = nearest neighbour
    theta_minus: G = average over (2e - 1) x (2e - 1) at stride e, padding not counted; over the whole map for e = 0
    theta:       G = log2(e) depthwise 3x3 convolutions of stride 2, each with BN, ReLU between them;
                 one depthwise convolution as large as the map, with BN, for e = 0
    theta_plus:  theta, then ReLU and W2 relu(W1 . + b1) + b2

    Args:
        variant: "theta_minus" (no parameters), "theta" or "theta_plus".
        extent: e, the width of the neighbourhood, 0 for the whole map; a power of two of at least 2 where it is
            learned.
        reduction: Hidden width of theta_plus is channels // reduction, at least 1.
        return_attention: Also return the gate: (batch, 1, 1, channels) for extent 0, else the input's shape.

    Shapes: (batch, height, width, channels) in and out. A learned gather over the whole map (theta, theta_plus, extent
        0) has height * width weights a channel: it needs both sizes at build time and works at no other resolution.
    Raises: ValueError for an unknown variant, an extent out of range, unknown height or width where they are needed, or
        an input that is no feature map.
    Paper: Hu, Shen, Albanie, Sun, Vedaldi. Gather-Excite. NeurIPS 2018. arXiv:1810.12348
    Code: hujie-frank/GENet, which releases the global forms only. timm's layer adds an MLP to theta_minus, leaves out
        the ReLU in front of theta_plus's, and raises on every form with parameters.
    """

    def __init__(
        self,
        variant: str = "theta",
        extent: int = 0,
        reduction: int = 16,
        return_attention: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if variant not in VARIANTS:
            raise ValueError(f"variant must be one of {', '.join(VARIANTS)}. Received: variant={variant!r}")
        if extent < 0 or (variant != "theta_minus" and extent and (extent < 2 or extent & (extent - 1))):
            raise ValueError(
                'extent must be 0 (the whole map) or a positive number, with "theta" and "theta_plus" a power of '
                f"two of at least 2. Received: extent={extent}, variant={variant!r}"
            )
        self.variant = variant
        self.extent = extent
        self.reduction = checked_reduction(reduction)
        self.return_attention = return_attention

    def build(self, input_shape: Any) -> None:
        """Create the gather's convolutions and theta_plus's bottleneck."""
        channels = feature_map_channels(self, input_shape)
        self.convs, self.norms = [], []
        if self.variant == "theta_minus":
            return
        common: dict[str, Any] = {"dtype": self.dtype_policy}
        steps = self.extent.bit_length() - 1 if self.extent else 1
        if not self.extent and None in input_shape[1:3]:
            raise ValueError(
                f"{self.variant} over the whole map has a weight for each position: build it with a known height and "
                f"width, or set extent. Received: shape {tuple(input_shape)}"
            )
        for number in range(1, steps + 1):
            conv = keras.layers.DepthwiseConv2D(
                3 if self.extent else tuple(input_shape[1:3]),
                strides=2 if self.extent else 1,
                use_bias=False,
                data_format="channels_last",
                name=f"gather{number}",
                **common,
            )
            conv.build((None, None, None, channels) if self.extent else (None, *input_shape[1:]))
            norm = batch_norm(momentum=BN_MOMENTUM, name=f"gather{number}_bn", **common)
            norm.build((None, None, None, channels))
            self.convs.append(conv)
            self.norms.append(norm)
        if self.variant == "theta_plus":
            start = {"kernel_initializer": keras.initializers.RandomNormal(stddev=0.01)}  # the authors' code
            hidden = hidden_width(channels, self.reduction)
            self.reduce = pointwise(hidden, activation="relu", name="reduce", **start, **common)
            self.reduce.build((None, 1, 1, channels))
            start = {"kernel_initializer": keras.initializers.RandomNormal(stddev=0.01)}
            self.expand = pointwise(channels, name="expand", **start, **common)
            self.expand.build((None, 1, 1, hidden))

    def call(self, x: Any, training: bool | None = None) -> Any:
        """Gate x by what it gathers."""
        # The sigmoid comes before the enlargement, which copies values: the same gate from fewer exponentials.
        gate = ops.sigmoid(self._gather(x, training))
        if self.extent:
            gate = nearest(gate, *ops.shape(x)[1:3])
        return (x * gate, gate) if self.return_attention else x * gate

    def _gather(self, x: Any, training: bool | None) -> Any:
        if self.variant == "theta_minus":
            return self._average(x) if self.extent else ops.mean(x, axis=(1, 2), keepdims=True)
        for number, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            x = ops.relu(x) if number else x
            x = ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))) if self.extent else x
            x = norm(conv(x), training=training)
        return self.expand(self.reduce(ops.relu(x))) if self.variant == "theta_plus" else x

    def _average(self, x: Any) -> Any:
        """Average pooling whose windows are centred on every e-th pixel and count only what lies inside.

        One axis after the other: for an extent of 8 that reads each value twice instead of 3.5 times.
        """
        side, pad = 2 * self.extent - 1, self.extent - 1
        for axis in (1, 2):
            window, strides, border = [1, 1], [1, 1], [(0, 0)] * 4
            window[axis - 1], strides[axis - 1] = side, self.extent
            length = ops.shape(x)[axis]
            fixed = isinstance(length, int)
            border[axis] = (pad, -length % self.extent if fixed else pad)
            options: dict[str, Any] = {
                "pool_size": tuple(window),
                "strides": tuple(strides),
                "padding": "valid",
                "data_format": "channels_last",
            }
            if fixed:
                share = ops.convert_to_tensor(self._share(length, axis), dtype=x.dtype)
            else:
                share = ops.reciprocal(ops.average_pool(ops.pad(ops.ones_like(x[..., :1]), border), **options))
            x = ops.average_pool(ops.pad(x, border), **options) * share
        return x

    def _share(self, length: int, axis: int) -> np.ndarray:
        """Window size over the number of its pixels inside the map, along one axis."""
        centres = np.arange(0, length, self.extent)
        inside = np.minimum(centres + self.extent, length) - np.maximum(centres - self.extent + 1, 0)
        return np.expand_dims((2 * self.extent - 1) / inside, [a for a in range(4) if a != axis])

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape, and the gate's where it is returned."""
        if not self.return_attention:
            return input_shape
        gate_shape = tuple(input_shape) if self.extent else (input_shape[0], 1, 1, input_shape[-1])
        return tuple(input_shape), gate_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "variant": self.variant,
            "extent": self.extent,
            "reduction": self.reduction,
            "return_attention": self.return_attention,
        }
