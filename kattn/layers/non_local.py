"""NL: the non-local block."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kattn.layers.pieces.attend import attend, positions
from kattn.layers.pieces.maps import max_pool_2x2, to_map
from kattn.layers.pieces.norms import batch_norm
from kattn.layers.pieces.pointwise import pointwise
from kattn.layers.pieces.widths import checked_reduction, feature_map_channels, hidden_width

MODES = ("gaussian", "embedded_gaussian", "dot_product", "concatenation")


@keras.saving.register_keras_serializable("kattn")
class NonLocal(keras.Layer):
    """Every position takes a weighed sum over all positions, added to the map.

    T = theta(x), P = phi(x'), G = g(x'): rows of `inner` channels; x' is x, 2x2 max-pooled with `sub_sample`
    A = softmax(X X'^T)             mode="gaussian", without theta and phi
    A = softmax(T P^T)              mode="embedded_gaussian"
    A = T P^T / N'                  mode="dot_product"
    A_jk = relu(w . [T_j, P_k]) / N'    mode="concatenation"
    y = x + BN(W_z (A G))

    Args:
        mode: How A is made, see above. The softmax is over the N' keys.
        reduction: The inner width is channels // reduction, at least 1.
        inner_channels: The inner width itself; overrides `reduction`.
        sub_sample: 2x2 max pooling before g and phi, which quarters the keys; an odd last row or column is dropped.
        pool_first: Pool, then convolve, as the authors' code does. False convolves first, as the PyTorch port does:
            other numbers, since a maximum does not commute with a 1x1 convolution.
        use_scale: Divide the logits of a softmax by the square root of the width of the product, as the authors' code
            does and neither the paper's equation nor the port.
        use_norm: Batch normalisation after W_z.
        use_bias: Biases of the 1x1 convolutions; the concatenation's projection never has one.
        return_attention: Also return A, (batch, height * width, keys).

    W_z starts so that the block is the identity: the normalisation's scale, or without it the kernel, is zero.

    Shapes: (batch, height, width, channels) in and out. Memory for N = height * width: N * N' values a sample, N' = N /
        4 with sub-sampling. A softmax of more than 2^24 values is made a block of queries at a time; the dot product is
        regrouped as T (P^T G), inner^2 values, where that is the cheaper order (unless A is asked for).
    Raises: ValueError for an unknown mode, widths below 1, or an input that is no feature map.
    Paper: Wang, Girshick, Gupta, He. Non-local Neural Networks. CVPR 2018. arXiv:1711.07971
    Code: facebookresearch/video-nonlocal-net (the defaults). The port, AlexHex7/Non-local_pytorch, is
        `pool_first=False, use_scale=False`.
    """

    def __init__(
        self,
        mode: str = "embedded_gaussian",
        reduction: int = 2,
        inner_channels: int | None = None,
        sub_sample: bool = True,
        pool_first: bool = True,
        use_scale: bool = True,
        use_norm: bool = True,
        use_bias: bool = True,
        return_attention: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)}. Received: mode={mode!r}")
        if inner_channels is not None and inner_channels < 1:
            raise ValueError(f"inner_channels must be at least 1, or None. Received: inner_channels={inner_channels}")
        self.mode = mode
        self.reduction = checked_reduction(reduction)
        self.inner_channels = inner_channels
        self.sub_sample = sub_sample
        self.pool_first = pool_first
        self.use_scale = use_scale
        self.use_norm = use_norm
        self.use_bias = use_bias
        self.return_attention = return_attention

    def build(self, input_shape: Any) -> None:
        """Create the projections that the mode needs and the way back."""
        channels = feature_map_channels(self, input_shape)
        inner = self.inner_channels or hidden_width(channels, self.reduction)
        start = keras.initializers.RandomNormal(stddev=0.01)  # the authors' code
        common: dict[str, Any] = {"dtype": self.dtype_policy}

        def project(name: str, filters: int, width: int, use_bias: bool, initializer: Any = None) -> keras.Layer:
            # A clone each time: one initializer instance would give all of them the same numbers.
            kernel = initializer or start.clone()
            conv = pointwise(filters, use_bias=use_bias, kernel_initializer=kernel, name=name, **common)
            conv.build((None, 1, 1, width))
            return conv

        self.g = project("g", inner, channels, self.use_bias)
        if self.mode != "gaussian":
            self.theta = project("theta", inner, channels, self.use_bias)
            self.phi = project("phi", inner, channels, self.use_bias)
        if self.mode == "concatenation":
            # w . [T_j, P_k] is a sum of two one-channel maps: N + N' products instead of a map of N * N' pairs.
            self.query_score = project("query_score", 1, inner, False, "he_normal")
            self.key_score = project("key_score", 1, inner, False, "he_normal")
        self.out = project("out", channels, inner, self.use_bias, None if self.use_norm else "zeros")
        if self.use_norm:
            self.norm = batch_norm(gamma_initializer="zeros", name="norm", **common)
            self.norm.build(input_shape)

    def call(self, x: Any, training: bool | None = None) -> Any:
        """Add to every position what it takes from all others."""
        source = max_pool_2x2(x) if self.sub_sample and self.pool_first else x
        values = positions(self._pool_last(self.g(source)))
        if self.mode == "gaussian":
            queries, keys = x, self._pool_last(source)
        else:
            queries, keys = self.theta(x), self._pool_last(self.phi(source))
        gathered, attention = self._gather(queries, keys, values, training)
        y = self.out(to_map(gathered, x))
        if self.use_norm:
            y = self.norm(y, training=training)
        return (x + y, attention) if self.return_attention else x + y

    def _pool_last(self, x: Any) -> Any:
        return max_pool_2x2(x) if self.sub_sample and not self.pool_first else x

    def _gather(self, queries: Any, keys: Any, values: Any, training: bool | None) -> tuple[Any, Any]:
        """A G and, where it was asked for, A."""
        if self.mode == "concatenation":
            query, key = positions(self.query_score(queries)), positions(self.key_score(keys))
            attention = ops.relu(query + ops.transpose(key, (0, 2, 1))) * self._share(values)
            return ops.matmul(attention, values), attention
        queries, keys = positions(queries), positions(keys)
        if self.mode == "dot_product":
            # The division comes first: in float16 the undivided sums could overflow.
            keys = ops.transpose(keys * self._share(values), (0, 2, 1))
            if not self.return_attention and self._regroup(queries, values):
                return ops.matmul(queries, ops.matmul(keys, values)), None
            attention = ops.matmul(queries, keys)
            return ops.matmul(attention, values), attention
        scale = queries.shape[-1] ** -0.5 if self.use_scale else None
        options: dict[str, Any] = {"scale": scale, "training": training}
        if self.return_attention:
            return attend(queries, keys, values, return_attention=True, **options)
        return attend(queries, keys, values, **options), None

    def _share(self, values: Any) -> Any:
        """1 / N'."""
        keys = ops.shape(values)[1]
        return 1.0 / keys if isinstance(keys, int) else ops.cast(1.0 / ops.cast(keys, "float32"), values.dtype)

    @staticmethod
    def _regroup(queries: Any, values: Any) -> bool:
        """Whether T (P^T G) takes fewer products than (T P^T) G; with unknown sizes it is the one of bounded memory."""
        rows, keys, inner = queries.shape[1], values.shape[1], values.shape[2]
        if rows is None or keys is None:
            return True
        return inner * (rows + keys) < 2 * rows * keys

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape, and the attention's where it is returned."""
        if not self.return_attention:
            return input_shape
        batch, height, width, _ = input_shape
        if height is None or width is None:
            return tuple(input_shape), (batch, None, None)
        keys = max(height // 2, 1) * max(width // 2, 1) if self.sub_sample else height * width
        return tuple(input_shape), (batch, height * width, keys)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "mode": self.mode,
            "reduction": self.reduction,
            "inner_channels": self.inner_channels,
            "sub_sample": self.sub_sample,
            "pool_first": self.pool_first,
            "use_scale": self.use_scale,
            "use_norm": self.use_norm,
            "use_bias": self.use_bias,
            "return_attention": self.return_attention,
        }
