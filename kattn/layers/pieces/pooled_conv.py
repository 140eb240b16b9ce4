"""One convolution of several maps of one channel, such as the maximum and the mean over the channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops

from kattn.layers.pieces.portable import integers


def conv_of_pooled(pooled: Sequence[Any], conv: Any, norm: Any = None, training: bool | None = None) -> Any:
    """The maps next to each other, convolved and normalised: (batch, height, width, 1).

    Next to each other in one tensor all have the range of the maximum, in which 8 bits leave a few levels of the mean,
    often a hundred times smaller. TensorFlow Lite even cuts the map that they are of down to that range. So in files
    of integers each is convolved by itself, and has a range of its own.

    Args:
        pooled: Maps of one channel.
        conv: A convolution without bias to one channel, built for as many channels as there are maps.
        norm: A batch normalisation of its result, or None.
        training: Whether the normalisation takes the batch's statistics.
    """
    if not integers():
        y = conv(ops.concatenate(pooled, axis=-1))
        return y if norm is None else norm(y, training=training)
    kernels = ops.split(ops.convert_to_tensor(conv.kernel), len(pooled), axis=2)
    shift = None
    if norm is not None:
        scale = norm.gamma * ops.rsqrt(norm.moving_variance + norm.epsilon)
        kernels = [kernel * scale for kernel in kernels]
        shift = norm.beta - norm.moving_mean * scale
    first, *others = (
        ops.conv(x, kernel, padding="same", data_format="channels_last")
        for x, kernel in zip(pooled, kernels, strict=True)
    )
    total = first if shift is None else first + shift
    for other in others:
        total = total + other
    return total
