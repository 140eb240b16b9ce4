"""RAN: the attention module of the residual attention network."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kattn.layers.pieces.align_corners import resize_align_corners
from kattn.layers.pieces.attend import wide_dtype
from kattn.layers.pieces.maps import max_pool_3x3
from kattn.layers.pieces.norms import batch_norm
from kattn.layers.pieces.pointwise import pointwise
from kattn.layers.pieces.pre_activation import PreActivationBottleneck
from kattn.layers.pieces.widths import checked_reduction, feature_map_channels

EPSILON = 1e-8  # under the roots of the channel and spatial activations: constant maps keep a finite gradient


def normalise_channels(x: Any) -> Any:
    """Each position's vector divided by its length; keeps its sign."""
    wide = ops.cast(x, wide_dtype(keras.backend.standardize_dtype(x.dtype)))
    return ops.cast(wide * ops.rsqrt(ops.sum(ops.square(wide), axis=-1, keepdims=True) + EPSILON), x.dtype)


def normalise_positions(x: Any) -> Any:
    """Sigmoid of each channel's map, shifted to mean zero and divided by its standard deviation."""
    wide = ops.cast(x, wide_dtype(keras.backend.standardize_dtype(x.dtype)))
    centred = wide - ops.mean(wide, axis=(1, 2), keepdims=True)
    variance = ops.mean(ops.square(centred), axis=(1, 2), keepdims=True)
    return ops.cast(ops.sigmoid(centred * ops.rsqrt(variance + EPSILON)), x.dtype)


ATTENTIONS = {"mixed": ops.sigmoid, "channel": normalise_channels, "spatial": normalise_positions}


@keras.saving.register_keras_serializable("kattn")
class ResidualAttention(keras.Layer):
    """A trunk of residual units, scaled by a mask that an hourglass of residual units makes from the same input.

    z = units(x);   T = units(z)
    M = f(BN-ReLU-1x1-BN-ReLU-1x1 of the hourglass of z)
    y = unit((1 + M) * T)

    The hourglass goes `depth` times through 3x3 max pooling of stride 2 and units, and back up: bilinear enlargement
    (corners aligned) to the size of the map above, plus a unit of that map, then units; the last one to z's size.

    Args:
        depth: Times the map is halved: 3 at 56x56, 2 at 28x28, 1 at 14x14 in the published networks.
        attention: f. "mixed": sigmoid; "channel": division by the length of each position's vector; "spatial": sigmoid
            of each channel's map at mean zero and deviation one. The released network has "mixed" only.
        pre_units: p, units before the branches and behind them.
        trunk_units: t, units of the trunk.
        mask_units: r, units between the samplings of the mask; twice as many at the bottom.
        reduction: Width inside the units is channels // reduction, at least 1.
        return_attention: Also return M, of the input's shape.

    Shapes: (batch, height, width, channels) in and out. With p, t, r = 1, 2, 1 it has 6 + 3 (depth - 1) units and
        2 C^2 + 4 C parameters more.
    Raises: ValueError for an unknown attention, counts below 1, or an input that is no feature map.
    Paper: Wang et al. Residual Attention Network for Image Classification. CVPR 2017. arXiv:1704.06904
    Code: fwang91/residual-attention-network. The PyTorch port, tengshaofeng/ResidualAttentionNetwork-pytorch, also adds
        the map that only gives each enlargement its size; this layer does not.
    """

    pre_activation = True  # of the units: what comes out of them is a bare sum

    def __init__(
        self,
        depth: int = 3,
        attention: str = "mixed",
        pre_units: int = 1,
        trunk_units: int = 2,
        mask_units: int = 1,
        reduction: int = 4,
        return_attention: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if attention not in ATTENTIONS:
            raise ValueError(f"attention must be one of {', '.join(ATTENTIONS)}. Received: attention={attention!r}")
        if min(depth, pre_units, trunk_units, mask_units) < 1:
            raise ValueError(
                "depth, pre_units, trunk_units and mask_units must be at least 1. Received: "
                f"depth={depth}, pre_units={pre_units}, trunk_units={trunk_units}, mask_units={mask_units}"
            )
        self.depth = depth
        self.attention = attention
        self.pre_units = pre_units
        self.trunk_units = trunk_units
        self.mask_units = mask_units
        self.reduction = checked_reduction(reduction)
        self.return_attention = return_attention

    def _counts(self) -> dict[str, int]:
        """How many units each part has, in the order of the graph."""
        counts = {"first": self.pre_units, "trunk": self.trunk_units}
        for level in range(1, self.depth):
            counts |= {f"down{level}": self.mask_units, f"skip{level}": 1}
        counts[f"down{self.depth}"] = 2 * self.mask_units
        counts |= {f"up{level}": self.mask_units for level in range(self.depth - 1, 0, -1)}
        return counts | {"last": self.pre_units}

    def build(self, input_shape: Any) -> None:
        """Create the units and the head of the mask."""
        channels = feature_map_channels(self, input_shape)
        shape = (None, None, None, channels)
        common: dict[str, Any] = {"dtype": self.dtype_policy}
        self.units = {}
        for part, count in self._counts().items():
            for number in range(count):
                name = f"{part}_{number}"
                self.units[name] = self._unit(channels, name=name, **common)
                self.units[name].build(shape)
        conv: dict[str, Any] = {"use_bias": False, "kernel_initializer": "he_normal", **common}
        self.head_norm1 = batch_norm(name="head_bn1", **common) if self.pre_activation else None
        self.head_conv1 = pointwise(channels, name="head_conv1", **conv)
        self.head_norm2 = batch_norm(name="head_bn2", **common)
        self.head_conv2 = pointwise(channels, name="head_conv2", **conv)
        for layer in (self.head_norm1, self.head_conv1, self.head_norm2, self.head_conv2):
            if layer is not None:
                layer.build(shape)

    def _unit(self, channels: int, **options: Any) -> keras.Layer:
        """A residual unit."""
        return PreActivationBottleneck(channels, reduction=self.reduction, **options)

    def _through(self, part: str, x: Any, training: bool | None) -> Any:
        for number in range(self._counts()[part]):
            x = self.units[f"{part}_{number}"](x, training=training)
        return x

    def first(self, x: Any, training: bool | None = None) -> Any:
        """z, which both branches take."""
        return self._through("first", x, training)

    def trunk(self, z: Any, training: bool | None = None) -> Any:
        """T, from what the first units give."""
        return self._through("trunk", z, training)

    def mask(self, z: Any, training: bool | None = None) -> Any:
        """M, from what the first units give."""
        skips, y = [], z
        for level in range(1, self.depth + 1):
            y = self._through(f"down{level}", max_pool_3x3(y), training)
            if level < self.depth:
                skips.append(self._through(f"skip{level}", y, training))
        for level in range(self.depth - 1, 0, -1):
            skip = skips[level - 1]
            y = self._through(f"up{level}", resize_align_corners(y, ops.shape(skip)[1:3]) + skip, training)
        y = resize_align_corners(y, ops.shape(z)[1:3])
        if self.head_norm1 is not None:
            y = ops.relu(self.head_norm1(y, training=training))
        y = self.head_conv1(y)
        y = self.head_conv2(ops.relu(self.head_norm2(y, training=training)))
        return ATTENTIONS[self.attention](y)

    def call(self, x: Any, training: bool | None = None) -> Any:
        """Scale the trunk by one plus the mask."""
        z = self.first(x, training)
        mask = self.mask(z, training)
        y = self._through("last", (1 + mask) * self.trunk(z, training), training)
        return (y, mask) if self.return_attention else y

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape, twice where the mask is returned."""
        return (tuple(input_shape), tuple(input_shape)) if self.return_attention else input_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "depth": self.depth,
            "attention": self.attention,
            "pre_units": self.pre_units,
            "trunk_units": self.trunk_units,
            "mask_units": self.mask_units,
            "reduction": self.reduction,
            "return_attention": self.return_attention,
        }
