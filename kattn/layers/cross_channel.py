"""C3: cross-channel communication."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kattn.layers.pieces.attend import softmax
from kattn.layers.pieces.maps import nearest
from kattn.layers.pieces.norms import batch_norm
from kattn.layers.pieces.pointwise import pointwise
from kattn.layers.pieces.widths import checked_reduction, feature_map_channels, hidden_width

LARGE_MAPS = ("resize", "patches")


@keras.saving.register_keras_serializable("kattn")
class CrossChannelCommunication(keras.Layer):
    """Channels exchange what they see: each becomes a mix of all of them, the more alike the more.

    x_c = the a = height * width responses of channel c;   v_c = E(x_c);   m_c = mean of v_c
    A_ji = softmax over i of -(m_i - m_j)^2
    y_j = relu(x_j + BN(D(sum of A_ji v_i)))
    E, D: a -> a // reduction, ReLU, -> a, with biases, shared by the channels; BN over the positions

    Args:
        reduction: Hidden width of E and D is a // reduction, at least 1.
        size: Largest height and width to work at, one number or two; None for no limit. What happens to a larger map:
        large_maps: "resize": nearest neighbour, down before and up after (the authors' `cross_neuron_distributed.py`);
            "patches": overlapping patches of that size, each for itself, their results added and divided by the square
            of the number of patch rows, as the authors' `cross_neuron.py` does also where the columns are more or
            fewer.
        downsample: Work at height and width // downsample; before `size`.
        use_norm: The BN. True as in `cross_neuron.py` and the paper's counts; False as in
            `cross_neuron_distributed.py`.
        detach: No gradient through m, as in `cross_neuron.py`; the other file lets it through.
        activation: After the sum. "relu" in both files; None for the plain residual sum of the paper's figure.
        channel_block: More channels than this are split into channels // channel_block blocks of neighbours that do not
            mix, as the authors' code does from 512 on.
        return_attention: Also return A, (batch, patches * blocks, channels of a block, the same).

    Shapes: (batch, height, width, channels) in and out; height and width must be known when it is built, the parameters
        depend on them: 2 (2 a (a // reduction) + a // reduction + a), and 2 a with `use_norm`.
    Raises: ValueError for options out of range, unknown height or width, channels that the blocks do not divide, or an
        input that is no feature map.
    Paper: Yang, Ren, Gan, Zhu, Parikh. Cross-channel Communication Networks. NeurIPS 2019.
    Code: jwyang/C3Net.pytorch
    """

    def __init__(
        self,
        reduction: int = 8,
        size: int | tuple[int, int] | None = None,
        large_maps: str = "resize",
        downsample: int = 1,
        use_norm: bool = True,
        detach: bool = True,
        activation: str | None = "relu",
        channel_block: int = 512,
        return_attention: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if large_maps not in LARGE_MAPS:
            raise ValueError(f"large_maps must be one of {', '.join(LARGE_MAPS)}. Received: large_maps={large_maps!r}")
        limits = (size, size) if isinstance(size, int) else tuple(size or ())
        if len(limits) not in (0, 2) or min(downsample, channel_block, *limits) < 1:
            raise ValueError(
                "size must be one or two positive numbers or None, downsample and channel_block at least 1. Received: "
                f"size={size}, downsample={downsample}, channel_block={channel_block}"
            )
        self.reduction = checked_reduction(reduction)
        self.size = size if isinstance(size, int) else limits or None
        self.large_maps = large_maps
        self.downsample = downsample
        self.use_norm = use_norm
        self.detach = detach
        self.activation = activation
        self.channel_block = channel_block
        self.return_attention = return_attention
        self._limits = limits

    def working_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width at which the channels communicate."""
        sides = [max(1, side // self.downsample) for side in (height, width)]
        if self._limits:
            sides = [min(side, limit) for side, limit in zip(sides, self._limits, strict=True)]
        return sides[0], sides[1]

    def build(self, input_shape: Any) -> None:
        """Create the encoder and the decoder for the working size."""
        channels = feature_map_channels(self, input_shape)
        if None in input_shape[1:3]:
            raise ValueError(
                "C3 has weights for each position: build it with a known height and width. Received: shape "
                f"{tuple(input_shape)}"
            )
        self.blocks = max(1, channels // self.channel_block)
        if channels % self.blocks:
            raise ValueError(f"{channels} channels do not split into {self.blocks} equal blocks; set channel_block.")
        height, width = self.working_size(*input_shape[1:3])
        area = height * width
        hidden = hidden_width(area, self.reduction)
        common: dict[str, Any] = {"kernel_initializer": "he_normal", "dtype": self.dtype_policy}
        self.encode1 = pointwise(hidden, activation="relu", name="encode1", **common)
        self.encode2 = pointwise(area, name="encode2", **common)
        self.decode1 = pointwise(hidden, activation="relu", name="decode1", **common)
        self.decode2 = pointwise(area, name="decode2", **common)
        for layer, inputs in zip(
            (self.encode1, self.encode2, self.decode1, self.decode2), (area, hidden) * 2, strict=True
        ):
            layer.build((None, 1, channels, inputs))
        if self.use_norm:
            self.norm = batch_norm(name="norm", dtype=self.dtype_policy)
            self.norm.build((None, 1, channels, area))

    def call(self, x: Any, training: bool | None = None) -> Any:
        """Add to every channel what it hears from the others."""
        height, width = x.shape[1:3]
        size = self.working_size(height, width)
        if self.large_maps == "patches" and size != (height, width):
            heard, attention = self._communicate_in_patches(x, size, training)
        else:
            heard, attention = self._communicate(nearest(x, *size), training)
            heard = nearest(heard, height, width)
        y = keras.activations.get(self.activation)(x + heard)
        return (y, attention) if self.return_attention else y

    def _communicate(self, x: Any, training: bool | None) -> tuple[Any, Any]:
        """What the channels of a map of the working size hear, and A."""
        _, height, width, channels = x.shape
        # Channels as the positions of a map of one row, positions as its channels: E and D are 1x1 convolutions.
        responses = ops.reshape(ops.transpose(x, (0, 3, 1, 2)), (-1, 1, channels, height * width))
        values = self.encode2(self.encode1(responses))
        blocks = (-1, self.blocks, channels // self.blocks, height * width)
        values = values if self.blocks == 1 else ops.reshape(values, blocks)
        means = ops.mean(values, axis=-1, keepdims=True)
        means = ops.stop_gradient(means) if self.detach else means
        scores = -ops.square(means - ops.transpose(means, (0, 1, 3, 2)))
        attention = softmax(scores)
        heard = ops.matmul(attention, values)
        heard = heard if self.blocks == 1 else ops.reshape(heard, (-1, 1, channels, height * width))
        heard = self.decode2(self.decode1(heard))
        if self.use_norm:
            heard = self.norm(heard, training=training)
        return ops.transpose(ops.reshape(heard, (-1, channels, height, width)), (0, 2, 3, 1)), attention

    def _communicate_in_patches(self, x: Any, size: tuple[int, int], training: bool | None) -> tuple[Any, Any]:
        """The same on overlapping patches, laid out as in the authors' code."""
        _, height, width, _ = x.shape
        starts = [self._patch_starts(side, part) for side, part in zip((height, width), size, strict=True)]
        corners = [(top, left) for top in starts[0] for left in starts[1]]
        patches = [x[:, top : top + size[0], left : left + size[1]] for top, left in corners]
        # One batch of all patches, so that the normalisation sees them together.
        heard, attention = self._communicate(ops.concatenate(patches, axis=0), training)
        total = 0.0
        for part, (top, left) in zip(ops.split(heard, len(corners), axis=0), corners, strict=True):
            below, right = height - top - size[0], width - left - size[1]
            total = total + ops.pad(part, ((0, 0), (top, below), (left, right), (0, 0)))
        attention = ops.concatenate(ops.split(attention, len(corners), axis=0), axis=1)
        return total * (1.0 / len(starts[0]) ** 2), attention

    @staticmethod
    def _patch_starts(side: int, part: int) -> list[int]:
        count = -(-side // part)
        step = (side - part) // (count - 1) if count > 1 else 0
        return [number * step for number in range(count)]

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape, and the attention's where it is returned."""
        if not self.return_attention:
            return input_shape
        batch, height, width, channels = input_shape
        patches = 1
        if self.large_maps == "patches":
            for side, part in zip((height, width), self.working_size(height, width), strict=True):
                patches *= len(self._patch_starts(side, part))
        blocks = max(1, channels // self.channel_block)
        return tuple(input_shape), (batch, patches * blocks, channels // blocks, channels // blocks)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "reduction": self.reduction,
            "size": self.size,
            "large_maps": self.large_maps,
            "downsample": self.downsample,
            "use_norm": self.use_norm,
            "detach": self.detach,
            "activation": self.activation,
            "channel_block": self.channel_block,
            "return_attention": self.return_attention,
        }
