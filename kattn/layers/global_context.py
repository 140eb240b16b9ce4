"""GC: global context."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kattn.layers.pieces.maps import softmax_mean
from kattn.layers.pieces.norms import LN_EPSILON, standardised
from kattn.layers.pieces.pointwise import pointwise
from kattn.layers.pieces.widths import checked_reduction, feature_map_channels, hidden_width

FUSIONS = {"add": ("add",), "scale": ("scale",), "both": ("scale", "add")}


@keras.saving.register_keras_serializable("kattn")
class GlobalContext(keras.Layer):
    """One context vector for all positions, transformed and fused into the map.

    a = softmax over all positions of (x . w + b);   c = sum of a_n x_n      (context="att")
    c = mean of x over height and width                                       (context="avg")
    T(c) = W2 relu(LN(W1 c + b1)) + b2
    y = x + T(c)   (fusion="add");   y = x * sigmoid(T(c))   (fusion="scale");   scale, then add   (fusion="both")

    Args:
        reduction: Hidden width is channels // reduction, at least 1. The authors' code takes a ratio, int(channels *
            ratio).
        context: "att" or "avg".
        fusion: "add" (the authors' default), "scale", or "both", with a transform of its own for each.
        epsilon: Of the layer normalisation; 1e-5 as in the authors' code, 1e-6 in timm.
        return_attention: Also return a, (batch, height, width, 1); needs context="att".

    The last convolution of each transform starts at zero: "add" starts as the identity, "scale" at one half.

    Shapes: (batch, height, width, channels) in and out.
    Raises: ValueError for an unknown context or fusion, a reduction below 1, or an input that is no feature map.
    Paper: Cao, Xu, Lin, Wei, Hu. GCNet: Non-local Networks Meet Squeeze-Excitation Networks and Beyond. ICCVW 2019.
        arXiv:1904.11492
    Code: xvjiarui/GCNet
    """

    def __init__(
        self,
        reduction: int = 16,
        context: str = "att",
        fusion: str = "add",
        epsilon: float = LN_EPSILON,
        return_attention: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if context not in ("att", "avg"):
            raise ValueError(f'context must be "att" or "avg". Received: context={context!r}')
        if fusion not in FUSIONS:
            raise ValueError(f"fusion must be one of {sorted(FUSIONS)}. Received: fusion={fusion!r}")
        if return_attention and context != "att":
            raise ValueError('return_attention=True needs context="att": a plain mean has no weights to return.')
        self.reduction = checked_reduction(reduction)
        self.context = context
        self.fusion = fusion
        self.epsilon = epsilon
        self.return_attention = return_attention

    def build(self, input_shape: Any) -> None:
        """Create the mask convolution and one transform a fusion."""
        channels = feature_map_channels(self, input_shape)
        hidden = hidden_width(channels, self.reduction)
        common: dict[str, Any] = {"dtype": self.dtype_policy}
        if self.context == "att":
            self.mask = pointwise(1, kernel_initializer="he_normal", name="mask", **common)
            self.mask.build(input_shape)
        self.reduce, self.expand = {}, {}
        self.gamma, self.beta = {}, {}
        for fusion in FUSIONS[self.fusion]:
            reduce = pointwise(hidden, name=f"{fusion}_reduce", **common)
            reduce.build((None, 1, 1, channels))
            expand = pointwise(channels, kernel_initializer="zeros", name=f"{fusion}_expand", **common)
            expand.build((None, 1, 1, hidden))
            self.reduce[fusion], self.expand[fusion] = reduce, expand
            self.gamma[fusion] = self.add_weight(shape=(hidden,), initializer="ones", name=f"{fusion}_gamma")
            self.beta[fusion] = self.add_weight(shape=(hidden,), initializer="zeros", name=f"{fusion}_beta")

    def call(self, x: Any) -> Any:
        """Fuse the context of x into every position."""
        context, weights = self._context(x)
        y = x
        for fusion in FUSIONS[self.fusion]:
            term = self._transform(context, fusion)
            y = y + term if fusion == "add" else y * ops.sigmoid(term)
        return (y, weights) if self.return_attention else y

    def _context(self, x: Any) -> tuple[Any, Any]:
        if self.context == "att":
            return softmax_mean(x, self.mask(x))
        return ops.mean(x, axis=(1, 2), keepdims=True), None

    def _transform(self, context: Any, fusion: str) -> Any:
        hidden = self.reduce[fusion](context)
        gamma, beta = (ops.cast(v[fusion], hidden.dtype) for v in (self.gamma, self.beta))
        return self.expand[fusion](ops.relu(standardised(hidden, self.epsilon) * gamma + beta))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape, and the weights' where they are returned."""
        return (input_shape, (*input_shape[:-1], 1)) if self.return_attention else input_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "reduction": self.reduction,
            "context": self.context,
            "fusion": self.fusion,
            "epsilon": self.epsilon,
            "return_attention": self.return_attention,
        }
