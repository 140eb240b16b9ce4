"""SOCA: channel attention from the covariance of the channels."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kattn.layers.pieces.attend import positions
from kattn.layers.pieces.pointwise import pointwise
from kattn.layers.pieces.widths import checked_reduction, feature_map_channels, hidden_width


@keras.saving.register_keras_serializable("kattn")
class SecondOrderChannelAttention(keras.Layer):
    """Channel gate from the square root of the channels' covariance (SOCA).

    S = Xc^T Xc / N, Xc = X - its mean over the N positions
    R = the matrix square root of S by Newton-Schulz steps: A = S / trace(S), Y = A, Z = I;
        `iterations` - 1 times T = (3I - ZY) / 2, Y = YT, Z = TZ; then Y (3I - ZY) / 2 * sqrt(trace(S))
    y = x * sigmoid(W2 relu(W1 z + b1) + b2), z = mean of the rows of R

    Five steps are not the exact root: they underestimate small eigenvalues, and the published networks were trained
    with that. Two things are computed otherwise than in the authors' code, with the same numbers: the mean is
    subtracted, where they multiply by an N x N centring matrix; and the rows' mean is taken before the last step.
    One result differs on purpose: on a constant map (or a single pixel) the trace is 0 and the authors' code returns
    NaN. Here S is then 0, its root 0, the gate sigmoid(W2 relu(b1) + b2), and gradients are finite.
    Covariance and root are computed in float32 on centred features scaled to at most 1 (the root scales with them), so
    neither large nor half-precision features overflow.

    Args:
        reduction: Hidden width is channels // reduction, at least 1.
        iterations: Newton-Schulz steps, at least 1.
        crop: The covariance is taken over the centre where a side is longer than this, as in the authors' code (not
            in the paper); None takes the whole map. Their test leaves half the map out where a side is exactly 1000
            and the other shorter; here that side is taken whole.
        return_attention: Also return the gate, (batch, 1, 1, channels).

    Shapes: (batch, height, width, channels) in and out; about N C^2 + 8 C^3 multiply-adds, C the channels.
    Memory: 4 (2 N C + 4 C^2) bytes a sample, N = H * W.
    Raises: ValueError for fewer than one step, a reduction below 1, or an input that is no feature map.
    Paper: Dai, Cai, Zhang, Xia, Zhang. Second-Order Attention Network for Single Image Super-Resolution. CVPR 2019.
    Code: daitao/SAN.
    """

    def __init__(
        self,
        reduction: int = 16,
        iterations: int = 5,
        crop: int | None = 1000,
        return_attention: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if iterations < 1:
            raise ValueError(f"iterations must be at least 1. Received: iterations={iterations}")
        self.reduction = checked_reduction(reduction)
        self.iterations = iterations
        self.crop = crop
        self.return_attention = return_attention

    def build(self, input_shape: Any) -> None:
        """Create both convolutions of the gate."""
        channels = feature_map_channels(self, input_shape)
        hidden = hidden_width(channels, self.reduction)
        self.reduce = pointwise(hidden, activation="relu", name="reduce", dtype=self.dtype_policy)
        self.expand = pointwise(channels, activation="sigmoid", name="expand", dtype=self.dtype_policy)
        self.reduce.build((None, 1, 1, channels))
        self.expand.build((None, 1, 1, hidden))

    def call(self, x: Any) -> Any:
        """Gate every channel of x."""
        features = ops.cast(positions(self._centre(x)), "float32")
        z = ops.reshape(mean_of_covariance_root(features, self.iterations), (-1, 1, 1, x.shape[-1]))
        gate = self.expand(self.reduce(ops.cast(z, x.dtype)))
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
            "iterations": self.iterations,
            "crop": self.crop,
            "return_attention": self.return_attention,
        }

    def _centre(self, x: Any) -> Any:
        """At most crop x crop positions around the middle."""
        for axis in (1, 2):
            size = ops.shape(x)[axis]
            if self.crop is None or (isinstance(size, int) and size <= self.crop):
                continue
            start = ops.maximum(size - self.crop, 0) // 2 if not isinstance(size, int) else (size - self.crop) // 2
            part = slice(start, start + self.crop)
            x = x[:, part] if axis == 1 else x[:, :, part]
        return x


def mean_of_covariance_root(features: Any, iterations: int) -> Any:
    """Mean over the rows of the Newton-Schulz root of the covariance: (batch, positions, channels) to (batch, 1, C)."""
    # Any shift leaves the covariance as it is. This one makes a constant map exactly zero: the mean of equal numbers
    # may differ from them in the last digit, and the root would show it.
    features = features - ops.stop_gradient(features[:, :1])
    centred = features - ops.mean(features, axis=1, keepdims=True)
    # The root is as large as the features: dividing them by a constant and multiplying it back leaves every value
    # and every gradient as they are, hence no gradient through the scale.
    largest = ops.stop_gradient(ops.max(ops.abs(centred), axis=(1, 2), keepdims=True))
    scale = ops.maximum(largest, 1e-30)
    centred = centred / scale
    count = ops.cast(ops.shape(features)[1], "float32")
    covariance = ops.matmul(ops.transpose(centred, (0, 2, 1)), centred) / count
    identity = ops.eye(features.shape[-1], dtype="float32")
    trace = ops.sum(covariance * identity, axis=(1, 2), keepdims=True)
    # Scaled, it is at least 1 / (positions * channels) unless all features are equal. Then the floor keeps the
    # quotient at 0 and stops the gradient, which the square root would make infinite.
    trace = ops.maximum(trace, 1e-12)
    y, z = covariance / trace, None
    for _ in range(iterations - 1):
        t = 1.5 * identity - 0.5 * (y if z is None else ops.matmul(z, y))
        y, z = ops.matmul(y, t), t if z is None else ops.matmul(t, z)
    row = ops.mean(y, axis=1, keepdims=True)
    row = 1.5 * row - 0.5 * ops.matmul(row if z is None else ops.matmul(row, z), y)
    return row * ops.sqrt(trace) * scale
