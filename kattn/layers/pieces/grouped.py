"""A grouped convolution that exports."""

from __future__ import annotations

import functools
from typing import Any

import keras

from kattn.layers.pieces.portable import portable

WIDE = 512  # channels of a group; from here on TensorFlow is up to a third faster by one convolution a group


@functools.cache
def has_gradient(dtype: str) -> bool:
    """Whether TensorFlow trains its grouped convolution here: without oneDNN, and in float64, it has no kernel."""
    import tensorflow as tf

    with tf.init_scope():
        x, kernel = tf.ones((1, 1, 1, 2), dtype), tf.ones((1, 1, 1, 2), dtype)
        try:
            tf.raw_ops.Conv2DBackpropFilter(
                input=x, filter_sizes=kernel.shape, out_backprop=x, strides=[1, 1, 1, 1], padding="SAME"
            )
        except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError):
            return False
    return True


@keras.saving.register_keras_serializable("kattn")
class GroupedConv2D(keras.layers.Conv2D):
    """Keras's grouped Conv2D as one convolution node on TensorFlow.

    On the TensorFlow backend Keras 3.15 compiles a Conv2D with groups by XLA inside the layer, which the ONNX and
    TFLite converters turn into a node that no runtime loads. Here the TensorFlow backend calls its own grouped
    convolution, or one convolution a group where that is faster and no file is made of it (`portable_graphs`); the
    other backends do what Keras does. Weights, options and numbers are Conv2D's.

    Shapes: (batch, height, width, channels) to (batch, new height, new width, filters); channels last only.
    """

    def call(self, x: Any) -> Any:
        """Convolve, add the bias, activate."""
        if keras.backend.backend() != "tensorflow":
            return super().call(x)
        import tensorflow as tf

        def convolve(x: Any, kernel: Any) -> Any:
            return tf.nn.conv2d(x, kernel, self.strides, self.padding.upper(), dilations=self.dilation_rate)

        kernel = tf.convert_to_tensor(self.kernel)
        split = kernel.shape[2] >= WIDE or not has_gradient(kernel.dtype.name)
        if split and self.groups > 1 and not portable():
            parts = zip(tf.split(x, self.groups, axis=-1), tf.split(kernel, self.groups, axis=-1), strict=True)
            y = tf.concat([convolve(*part) for part in parts], axis=-1)
        else:
            y = convolve(x, kernel)
        if self.use_bias:
            y = tf.nn.bias_add(y, self.bias)
        return self.activation(y) if self.activation is not None else y
