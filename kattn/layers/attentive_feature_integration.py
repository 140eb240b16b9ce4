"""AFI: attentive feature integration."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kattn.layers.pieces.branches import as_rows, softmax_over, weighted_sum
from kattn.layers.pieces.pointwise import pointwise
from kattn.layers.pieces.portable import portable
from kattn.layers.pieces.widths import checked_reduction, feature_map_channels, hidden_width


@keras.saving.register_keras_serializable("kattn")
class AttentiveFeatureIntegration(keras.Layer):
    """Earlier maps of a stage, weighted against each other channel by channel and summed.

    z_i = mean of x_i over height and width;   s_i = W2 relu(W1 z_i), with W1 and W2 shared by the maps
    a = softmax over the maps of s, for each channel
    R = sum of a_i * x_i

    Args:
        channels: Channels of a map; by default those of the first. What comes with a multiple of them counts as so many
            maps side by side: as many weights and the same sum as of its slices, without copies of them to keep for
            the gradient.
        reduction: Hidden width is channels // reduction, at least 1.
        use_bias: Biases of W1 and W2; the paper's parameter counts have none.
        return_attention: Also return the weights, (batch, maps, channels).

    One map alone has the weight 1: R is that map, and W1 and W2 exist (the paper's counts hold them) without effect.

    Shapes: a list of maps (batch, height, width, channels or a multiple), alike but for this, to one such map.
    Raises: ValueError for maps of different shapes, no map at all, or channels or a reduction below 1.
    Paper: Pan, Xu, Pan, Wen, Lin, Bai, Xu. AFINet: Attentive Feature Integration Networks for Image Classification.
        2021.
        No code was published.
    """

    def __init__(
        self,
        reduction: int = 4,
        use_bias: bool = False,
        channels: int | None = None,
        return_attention: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if channels is not None and channels < 1:
            raise ValueError(f"channels must be at least 1. Received: channels={channels}")
        self.reduction = checked_reduction(reduction)
        self.use_bias = use_bias
        self.channels = channels
        self.return_attention = return_attention

    def build(self, input_shape: Sequence[Any]) -> None:
        """Create the scoring network that all maps share."""
        shapes = [tuple(shape) for shape in input_shape] if isinstance(input_shape[0], list | tuple) else []
        if not shapes or any(shape[:-1] != shapes[0][:-1] for shape in shapes):
            raise ValueError(f"AFI takes a list of maps of one shape. Received: {shapes or tuple(input_shape)}")
        self._width = self.channels or feature_map_channels(self, shapes[0])
        if any(feature_map_channels(self, shape) % self._width for shape in shapes):
            raise ValueError(f"AFI takes a list of maps of one shape, {self._width} channels each. Received: {shapes}")
        hidden = hidden_width(self._width, self.reduction)
        common: dict[str, Any] = {"use_bias": self.use_bias, "dtype": self.dtype_policy}
        self.reduce = pointwise(hidden, activation="relu", name="reduce", **common)
        self.reduce.build((None, 1, 1, self._width))
        self.expand = pointwise(self._width, name="expand", **common)
        self.expand.build((None, 1, 1, hidden))

    def call(self, maps: Sequence[Any]) -> Any:
        """Integrate the maps."""
        integrated, weights = self._branch_by_branch(maps) if portable() else self._all_in_one(maps)
        return (integrated, weights) if self.return_attention else integrated

    def _branch_by_branch(self, maps: Sequence[Any]) -> tuple[Any, Any]:
        """Converters find no stack of the maps to transpose, and one scoring of all: in 8 bits one scale for all."""
        maps = [part for x in maps for part in self._parts(x)]
        scores = self._scores([_mean(x) for x in maps])
        if len(maps) == 2:  # a sigmoid
            weights = softmax_over([scores[:, :, :1], scores[:, :, 1:]])
        else:
            e = _exponentials(scores)
            # Times a reciprocal: a quotient of the two is exported with transposes.
            together = e * (1.0 / ops.sum(e, axis=2, keepdims=True))
            weights = [together[:, :, i : i + 1] for i in range(len(maps))]
        return weighted_sum(maps, weights), as_rows(weights)

    def _all_in_one(self, maps: Sequence[Any]) -> tuple[Any, Any]:
        """The same with as few operations as there can be: in training, each also costs its gradient's."""
        width = self._width
        counts = [x.shape[-1] // width for x in maps]
        means = [ops.reshape(_mean(x), (-1, 1, count, width)) for x, count in zip(maps, counts, strict=True)]
        e = _exponentials(self._scores(means))
        weights = e / ops.sum(e, axis=2, keepdims=True)
        each = iter(ops.split(weights, sum(counts), axis=2))
        shares = [ops.concatenate([next(each) for _ in range(count)], axis=-1) for count in counts]
        products = [x * share for x, share in zip(maps, shares, strict=True)]
        parts = [part for y, count in zip(products, counts, strict=True) for part in ops.split(y, count, axis=-1)]
        return functools.reduce(ops.add, parts), ops.squeeze(weights, 1)

    def _scores(self, means: Sequence[Any]) -> Any:
        """(batch, 1, maps, channels), from means that lie so in several tensors."""
        return self.expand(self.reduce(ops.concatenate(means, axis=2)))

    def _parts(self, x: Any) -> list[Any]:
        """The maps side by side in one tensor; indexing exports without a transpose, where splitting does not."""
        if x.shape[-1] == self._width:
            return [x]
        return [x[..., start : start + self._width] for start in range(0, x.shape[-1], self._width)]

    def compute_output_shape(self, input_shape: Sequence[Any]) -> Any:
        """One map's shape, and the weights' where they are returned."""
        batch, *size, channels = input_shape[0]
        width = self.channels or channels
        count = sum(shape[-1] // width for shape in input_shape)
        one = (batch, *size, width)
        return (one, (batch, count, width)) if self.return_attention else one

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "reduction": self.reduction,
            "use_bias": self.use_bias,
            "channels": self.channels,
            "return_attention": self.return_attention,
        }


def _mean(x: Any) -> Any:
    return ops.mean(x, axis=(1, 2), keepdims=True)


def _exponentials(scores: Any) -> Any:
    """Of the scores less the highest of the maps, which leaves their softmax as it is."""
    return ops.exp(scores - ops.stop_gradient(ops.max(scores, axis=2, keepdims=True)))
