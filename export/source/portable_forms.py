"""The portable forms of Keras's layers, one function a layer: see `portable_layers`."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from keras import ops

from kattn.layers.pieces.portable import integers

HIDDEN = 24.0  # e^-24 is 4e-11
LONGEST = 64  # steps of a recurrent layer that are written out


def group_normalization(layer: Any, x: Any) -> Any:
    """Means over the maps first, over the channels of a group then: at most 4 dimensions, of which Keras takes 5."""
    rank, channels = len(x.shape), x.shape[-1]
    if layer.axis not in (-1, rank - 1) or channels is None:
        return NotImplemented
    groups, space = layer.groups, tuple(range(1, rank - 1))

    def mean(values: Any) -> Any:
        """Over each group, as one number a channel."""
        values = ops.mean(values, axis=space, keepdims=True) if space else values
        if groups in (1, channels):
            return values if groups == channels else ops.mean(values, axis=-1, keepdims=True)
        size = channels // groups
        grouped = ops.mean(ops.reshape(values, (-1, groups, size)), axis=-1, keepdims=True)
        return ops.reshape(grouped * ops.ones((1, 1, size)), (-1, *(1 for _ in space), channels))

    centred = x - mean(x)
    return _scaled(layer, centred * ops.rsqrt(mean(ops.square(centred)) + layer.epsilon))


def layer_normalization(layer: Any, x: Any) -> Any:
    """In integers, without the negation that has no integer form; elsewhere Keras's is as good."""
    rank = len(x.shape)
    axes = sorted(axis % rank for axis in ([layer.axis] if isinstance(layer.axis, int) else layer.axis))
    if not integers() or layer.rms_scaling:
        return NotImplemented
    centred = x - ops.mean(x, axis=axes, keepdims=True)
    y = centred * ops.rsqrt(ops.mean(ops.square(centred), axis=axes, keepdims=True) + layer.epsilon)
    return _scaled(layer, y, tuple(x.shape[axis] if axis in axes else 1 for axis in range(rank)))


def unit_normalization(layer: Any, x: Any) -> Any:
    """In integers, the one operation L2_NORMALIZATION."""
    if not integers() or layer.axis not in (-1, len(x.shape) - 1):
        return NotImplemented
    import tensorflow as tf

    return tf.math.l2_normalize(x, axis=-1, epsilon=1e-24)


def prelu(layer: Any, x: Any) -> Any:
    """In integers, by a minimum: a negation has no integer form."""
    return ops.relu(x) + layer.alpha * ops.minimum(x, 0.0) if integers() else NotImplemented


def elu(layer: Any, x: Any) -> Any:
    """In integers, by the exponential."""
    return _elu(x, layer.alpha) if integers() else NotImplemented


def elu_activation(x: Any) -> Any:
    """The same as an activation."""
    return _elu(x, 1.0) if integers() else ops.elu(x)


def _elu(x: Any, alpha: float) -> Any:
    return ops.relu(x) + alpha * (ops.exp(ops.minimum(x, 0.0)) - 1.0)


def negative(operation: Any, x: Any) -> Any:
    """By a product: a negation has no integer form."""
    return x * -1


def up_sampling(layer: Any, x: Any) -> Any:
    """Nearest neighbours by one resize, where Keras repeats rows in 5 dimensions; open sizes, which Keras looks at."""
    nearest, is_open = layer.interpolation == "nearest", None in tuple(x.shape[1:3])
    if layer.data_format != "channels_last" or not (nearest or is_open):
        return NotImplemented
    import tensorflow as tf

    sizes = tf.shape(x)[1:3] if is_open else x.shape[1:3]
    size = tf.stack([sizes[0] * layer.size[0], sizes[1] * layer.size[1]])
    if nearest:
        return tf.raw_ops.ResizeNearestNeighbor(images=x, size=size)
    return tf.image.resize(x, size, method=layer.interpolation)


def embedding(layer: Any, x: Any) -> Any:
    """By position; Keras turns negative positions round first."""
    import tensorflow as tf

    return tf.gather(tf.convert_to_tensor(layer.embeddings), x if x.dtype.is_integer else tf.cast(x, "int32"))


def resizing(layer: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
    """Cropped or padded to the aspect ratio by known numbers of rows and columns, where Keras asks for the size."""
    known = len(x.shape) == 4 and None not in x.shape[1:3] and layer.data_format == "channels_last"
    if not known or not (layer.crop_to_aspect_ratio or layer.pad_to_aspect_ratio):
        return NotImplemented
    (height, width), target = x.shape[1:3], (layer.height, layer.width)
    wide, high = int(np.float32(height * target[1]) / target[0]), int(np.float32(width * target[0]) / target[1])
    if layer.crop_to_aspect_ratio:
        high, wide = (max(1, min(pair)) for pair in ((height, high), (width, wide)))
        top, left = (height - high) // 2, (width - wide) // 2
        x = x[:, top : top + high, left : left + wide]
    else:
        above, beside = (max(high, height) - height) // 2, (max(wide, width) - width) // 2
        x = ops.pad(x, ((0, 0), (above, above), (beside, beside), (0, 0)), constant_values=layer.fill_value)
    with attribute(layer, "crop_to_aspect_ratio", False), attribute(layer, "pad_to_aspect_ratio", False):
        return type(layer).call(layer, x, *args, **kwargs)


def softmax(layer: Any, x: Any, mask: Any = None) -> Any:
    """Over several axes with sums and maxima; Keras's logarithm of a sum asks whether it is infinite.

    In integers a mask takes HIDDEN off the logits: Keras's 1e9 would leave no levels for the others.
    """
    axes = [layer.axis] if isinstance(layer.axis, int) else list(layer.axis)
    if mask is not None:
        if not integers():
            return NotImplemented
        x = x - HIDDEN * (1.0 - ops.cast(mask, x.dtype))
    if len(axes) == 1:
        return NotImplemented if mask is None else ops.softmax(x, axis=axes[0])
    grown = ops.exp(x - ops.max(x, axis=axes, keepdims=True))
    return grown * ops.reciprocal(ops.sum(grown, axis=axes, keepdims=True))


def attention(layer: Any, *args: Any, return_attention_scores: bool = False, **kwargs: Any) -> Any:
    """By two matrix products, which Keras takes where the weights are asked for: its other way asks for the batch."""
    results = type(layer).call(layer, *args, return_attention_scores=True, **kwargs)
    return results if return_attention_scores else results[0]


def unrolled(layer: Any, sequence: Any, initial_state: Any = None, **kwargs: Any) -> Any:
    """A short sequence step by step: converters know no loop that keeps a state in integers.

    The state at the start is made of the sequence: Keras asks for the batch.
    """
    steps, size = sequence.shape[1], layer.cell.state_size
    if layer.unroll or steps is None or steps > LONGEST:
        return NotImplemented
    if initial_state is None and sequence.shape[0] is None and not layer.stateful:
        nothing = ops.sum(sequence[:, 0] * 0.0, axis=-1, keepdims=True)
        initial_state = [nothing * ops.zeros((1, n)) for n in (size if isinstance(size, (list, tuple)) else [size])]
    with attribute(layer, "unroll", True):
        return type(layer).call(layer, sequence, initial_state=initial_state, **kwargs)


def position(name: str, operation: Any, x: Any) -> Any:
    """Of the largest or smallest value. Keras tells -0.0 from 0.0 first, by the bits of the numbers."""
    import tensorflow as tf

    flat = tf.reshape(x, [-1]) if operation.axis is None else x
    axis = 0 if operation.axis is None else operation.axis
    found = getattr(tf.math, name)(flat, axis=axis, output_type="int32")
    if not operation.keepdims:
        return found
    return tf.reshape(found, [1] * len(x.shape)) if operation.axis is None else tf.expand_dims(found, axis)


def gelu(x: Any) -> Any:
    """By the error function, which converters know; TensorFlow takes its complement."""
    import tensorflow as tf

    return 0.5 * x * (1.0 + tf.math.erf(x * math.sqrt(0.5)))


def _scaled(layer: Any, x: Any, shape: tuple[int, ...] | None = None) -> Any:
    gamma, beta = (v if v is None or shape is None else ops.reshape(v, shape) for v in (layer.gamma, layer.beta))
    x = x if gamma is None else x * gamma
    return x if beta is None else x + beta


@contextlib.contextmanager
def attribute(one: Any, name: str, value: Any) -> Iterator[None]:
    """An attribute of an object with another value, past Keras's tracking of what layers are given."""
    own = vars(one)
    missing = object()
    before = own.get(name, missing)
    own[name] = value
    try:
        yield
    finally:
        if before is missing:
            del own[name]
        else:
            own[name] = before
