"""AFI: attentive feature integration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kattn.layers.branches import as_rows, softmax_over, weighted_sum
from kattn.layers.helpers import feature_map_channels, hidden_width, pointwise


@keras.saving.register_keras_serializable("kattn")
class AttentiveFeatureIntegration(keras.Layer):
    """Earlier maps of a stage, weighted against each other channel by channel and summed.

    z_i = mean of x_i over height and width;   s_i = W2 relu(W1 z_i), with W1 and W2 shared by the maps
    a = softmax over the maps of s, for each channel
    R = sum of a_i * x_i

    Args:
        reduction: Hidden width is channels // reduction, at least 1.
        use_bias: Biases of W1 and W2; the paper's parameter counts have none.
        return_attention: Also return the weights, (batch, maps, channels).

    One map alone has the weight 1: R is that map, and W1 and W2 exist (the paper's counts hold them) without effect.

    Shapes: a list of maps (batch, height, width, channels), all alike, to one such map.
    Raises: ValueError for maps of different shapes, no map at all, or a reduction below 1.
    Paper: Pan, Xu, Pan, Wen, Lin, Bai, Xu. AFINet: Attentive Feature Integration Networks for Image Classification.
        2021.
        No code was published.
    """

    def __init__(
        self, reduction: int = 4, use_bias: bool = False, return_attention: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.reduction = reduction
        self.use_bias = use_bias
        self.return_attention = return_attention

    def build(self, input_shape: Sequence[Any]) -> None:
        """Create the scoring network that all maps share."""
        shapes = [tuple(shape) for shape in input_shape] if isinstance(input_shape[0], list | tuple) else []
        if not shapes or any(shape != shapes[0] for shape in shapes):
            raise ValueError(f"AFI takes a list of maps of one shape. Received: {shapes or tuple(input_shape)}")
        channels = feature_map_channels(self, shapes[0])
        hidden = hidden_width(channels, self.reduction)
        common: dict[str, Any] = {"use_bias": self.use_bias, "dtype": self.dtype_policy}
        self.reduce = pointwise(hidden, activation="relu", name="reduce", **common)
        self.reduce.build((None, 1, 1, channels))
        self.expand = pointwise(channels, name="expand", **common)
        self.expand.build((None, 1, 1, hidden))

    def call(self, maps: Sequence[Any]) -> Any:
        """Integrate the maps."""
        weights = softmax_over([self.expand(self.reduce(ops.mean(x, axis=(1, 2), keepdims=True))) for x in maps])
        integrated = weighted_sum(maps, weights)
        return (integrated, as_rows(weights)) if self.return_attention else integrated

    def compute_output_shape(self, input_shape: Sequence[Any]) -> Any:
        """One map's shape, and the weights' where they are returned."""
        shape = tuple(input_shape[0])
        return (shape, (shape[0], len(input_shape), shape[-1])) if self.return_attention else shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "reduction": self.reduction,
            "use_bias": self.use_bias,
            "return_attention": self.return_attention,
        }
