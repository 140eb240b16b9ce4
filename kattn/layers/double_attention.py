"""A2: double attention, which gathers descriptions of the map and hands them out again."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kattn.layers.pieces.attend import positions, softmax, wide_dtype
from kattn.layers.pieces.maps import to_map
from kattn.layers.pieces.pointwise import pointwise
from kattn.layers.pieces.widths import checked_reduction, feature_map_channels, hidden_width


@keras.saving.register_keras_serializable("kattn")
class DoubleAttention(keras.Layer):
    """Gather n descriptions from all positions, then mix them anew for each position.

    B = softmax over positions of (W_B x);   V = softmax over the n descriptions of (W_V x), at each position
    G = (W_A x)^T B, of m by n values
    Z = G V at each position, m channels
    y = x + W_R Z

    Args:
        reduction: m and n are channels // reduction, at least 1.
        features: m itself; overrides `reduction`.
        descriptions: n itself; overrides `reduction`.
        reconstruct: Bring Z back to the channels of x by W_R. False gives Z, as the ports do unless told.
        residual: Add x, as in the paper; the ports do not.
        return_attention: Also return B, (batch, height, width, n): where each description is gathered.

    All four 1x1 convolutions have biases; that of W_B has no effect, since the softmax cancels it. No matrix of N by N
    values is made.

    Shapes: (batch, height, width, channels) in and out; `features` channels out without `reconstruct`.
    Raises: ValueError for widths below 1, `residual` with an output of another width, or an input that is no feature
        map.
    Paper: Chen, Kalantidis, Li, Yan, Feng. A2-Nets: Double Attention Networks. NeurIPS 2018. arXiv:1810.11579
    Code: none of the authors; nguyenvo09/Double-Attention-Network is `reconstruct=False, residual=False`. A widely
        copied port takes the softmax of V over positions instead.
    """

    def __init__(
        self,
        reduction: int = 2,
        features: int | None = None,
        descriptions: int | None = None,
        reconstruct: bool = True,
        residual: bool = True,
        return_attention: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for name, width in (("features", features), ("descriptions", descriptions)):
            if width is not None and width < 1:
                raise ValueError(f"{name} must be at least 1, or None. Received: {name}={width}")
        self.reduction = checked_reduction(reduction)
        self.features = features
        self.descriptions = descriptions
        self.reconstruct = reconstruct
        self.residual = residual
        self.return_attention = return_attention

    def build(self, input_shape: Any) -> None:
        """Create the projections and the way back."""
        channels = feature_map_channels(self, input_shape)
        width = hidden_width(channels, self.reduction)
        self._features, self._descriptions = self.features or width, self.descriptions or width
        if self.residual and not self.reconstruct and self._features != channels:
            raise ValueError(
                f"residual=True adds {channels} channels to {self._features}: take reconstruct=True, "
                f"features={channels}, or residual=False."
            )
        projections = {"gather": self._features, "where": self._descriptions, "distribute": self._descriptions}
        for name, filters in projections.items():
            setattr(self, name, self._project(name, filters, channels))
        if self.reconstruct:
            self.out = self._project("out", channels, self._features)

    def _project(self, name: str, filters: int, width: int) -> keras.Layer:
        conv = pointwise(filters, name=name, dtype=self.dtype_policy)
        conv.build((None, None, None, width))
        return conv

    def call(self, x: Any) -> Any:
        """Gather, distribute, and add to x."""
        values = positions(self.gather(x))
        wide = wide_dtype(values.dtype)
        logits = ops.transpose(ops.cast(positions(self.where(x)), wide), (0, 2, 1))
        where = ops.cast(softmax(logits), values.dtype)  # (batch, n, N)
        shares = ops.cast(softmax(ops.cast(positions(self.distribute(x)), wide)), values.dtype)  # (batch, N, n)
        y = to_map(ops.matmul(shares, ops.matmul(where, values)), x)
        if self.reconstruct:
            y = self.out(y)
        if self.residual:
            y = x + y
        return (y, to_map(ops.transpose(where, (0, 2, 1)), x)) if self.return_attention else y

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The map's shape, and the attention's where it is returned."""
        *sides, channels = input_shape
        width = hidden_width(channels, self.reduction)
        shape = (*sides, channels if self.reconstruct else self.features or width)
        return (shape, (*sides, self.descriptions or width)) if self.return_attention else shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "reduction": self.reduction,
            "features": self.features,
            "descriptions": self.descriptions,
            "reconstruct": self.reconstruct,
            "residual": self.residual,
            "return_attention": self.return_attention,
        }
