"""CBAM: convolutional block attention module."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kattn.layers.pieces.norms import BN_EPSILON, batch_norm
from kattn.layers.pieces.pointwise import pointwise
from kattn.layers.pieces.pooled_conv import conv_of_pooled
from kattn.layers.pieces.widths import checked_reduction, feature_map_channels, hidden_width

AXES = (1, 2)
POOLS = {
    "avg": lambda x: ops.mean(x, axis=AXES, keepdims=True),
    "max": lambda x: ops.max(x, axis=AXES, keepdims=True),
    # The authors' code calls the 2-norm of the whole map an "lp" pool.
    "lp": lambda x: ops.sqrt(ops.sum(ops.square(x), axis=AXES, keepdims=True)),
    "lse": lambda x: ops.logsumexp(x, axis=AXES, keepdims=True),
}


@keras.saving.register_keras_serializable("kattn")
class CBAM(keras.Layer):
    """A channel gate, then a spatial gate.

    MLP(z) = W2 relu(W1 z + b1) + b2, shared by all pooled descriptions
    x1 = x * sigmoid(sum over the pools of MLP(pool(x)))
    y = x1 * sigmoid(BN(conv([max over channels of x1, mean over channels of x1])))

    Args:
        reduction: Hidden width is channels // reduction, at least 1.
        pools: Poolings of the channel gate, of "avg", "max", "lp" (2-norm) and "lse" (log-sum-exp).
        kernel_size: Of the spatial gate's convolution; odd.
        spatial: False leaves the spatial gate out (the code's `no_spatial`).
        use_bias: Biases in the MLP. True as in the authors' code; the paper's equation has none.
        spatial_norm: Batch normalisation of the spatial gate. True as in the authors' code; the paper has none.
        return_attention: Also return the spatial gate, (batch, height, width, 1).

    At the start the spatial gate is 0.5 everywhere: the authors' code initialises its normalisation's scale to 0.
    Weights of collections that put the mean before the maximum need the two input channels of the spatial
    convolution exchanged.

    Shapes: (batch, height, width, channels) in and out.
    Raises: ValueError for an unknown or no pool, an even kernel, a reduction below 1, or an input that is no feature
        map.
    Paper: Woo, Park, Lee, Kweon. CBAM: Convolutional Block Attention Module. ECCV 2018. arXiv:1807.06521
    Code: Jongchan/attention-module
    """

    def __init__(
        self,
        reduction: int = 16,
        pools: Sequence[str] = ("avg", "max"),
        kernel_size: int = 7,
        spatial: bool = True,
        use_bias: bool = True,
        spatial_norm: bool = True,
        return_attention: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        pools = (pools,) if isinstance(pools, str) else tuple(pools)
        if not pools or not set(pools) <= set(POOLS):
            raise ValueError(f"pools must be some of {sorted(POOLS)}. Received: pools={pools}")
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd, so that the map keeps its size. Received: {kernel_size}")
        if return_attention and not spatial:
            raise ValueError("return_attention=True returns the spatial gate, which spatial=False leaves out.")
        self.reduction = checked_reduction(reduction)
        self.pools = pools
        self.kernel_size = kernel_size
        self.spatial = spatial
        self.use_bias = use_bias
        self.spatial_norm = spatial_norm
        self.return_attention = return_attention

    def build(self, input_shape: Any) -> None:
        """Create the shared MLP and the spatial convolution."""
        channels = feature_map_channels(self, input_shape)
        hidden = hidden_width(channels, self.reduction)
        common: dict[str, Any] = {"kernel_initializer": "he_normal", "dtype": self.dtype_policy}
        self.reduce = pointwise(hidden, activation="relu", use_bias=self.use_bias, name="reduce", **common)
        self.reduce.build((None, 1, 1, channels))
        self.expand = pointwise(channels, use_bias=self.use_bias, name="expand", **common)
        self.expand.build((None, 1, 1, hidden))
        if not self.spatial:
            return
        self.spatial_conv = keras.layers.Conv2D(
            1, self.kernel_size, padding="same", use_bias=False, data_format="channels_last", name="spatial", **common
        )
        self.spatial_conv.build((*input_shape[:-1], 2))
        if self.spatial_norm:
            self.norm = batch_norm(
                momentum=0.99, epsilon=BN_EPSILON, gamma_initializer="zeros", name="norm", dtype=self.dtype_policy
            )
            self.norm.build((*input_shape[:-1], 1))

    def channel_gate(self, x: Any) -> Any:
        """The gate of each channel of x, (batch, 1, 1, channels)."""
        logits = [self.expand(self.reduce(POOLS[pool](x))) for pool in self.pools]
        total = logits[0]
        for other in logits[1:]:
            total = total + other
        return ops.sigmoid(total)

    def call(self, x: Any, training: bool | None = None) -> Any:
        """Gate the channels of x, then its positions."""
        x = x * self.channel_gate(x)
        if not self.spatial:
            return x
        pooled = [ops.max(x, axis=-1, keepdims=True), ops.mean(x, axis=-1, keepdims=True)]
        norm = self.norm if self.spatial_norm else None
        gate = ops.sigmoid(conv_of_pooled(pooled, self.spatial_conv, norm, training))
        return (x * gate, gate) if self.return_attention else x * gate

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape, and the gate's where it is returned."""
        return (input_shape, (*input_shape[:-1], 1)) if self.return_attention else input_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "reduction": self.reduction,
            "pools": list(self.pools),
            "kernel_size": self.kernel_size,
            "spatial": self.spatial,
            "use_bias": self.use_bias,
            "spatial_norm": self.spatial_norm,
            "return_attention": self.return_attention,
        }
