"""A grouped convolution that exports."""

from __future__ import annotations

from typing import Any

import keras


@keras.saving.register_keras_serializable("kattn")
class GroupedConv2D(keras.layers.Conv2D):
    """Keras's grouped Conv2D as one convolution node on TensorFlow.

    On the TensorFlow backend Keras 3.15 compiles a Conv2D with groups by XLA inside the layer, which the ONNX and
    TFLite
    converters turn into a node that no runtime loads. Here the TensorFlow backend calls its own grouped convolution;
    the other backends do what Keras does. Weights, options and numbers are Conv2D's.

    Shapes: (batch, height, width, channels) to (batch, new height, new width, filters); channels last only.
    """

    def call(self, x: Any) -> Any:
        """Convolve, add the bias, activate."""
        if keras.backend.backend() != "tensorflow":
            return super().call(x)
        import tensorflow as tf

        y = tf.nn.conv2d(
            x, tf.convert_to_tensor(self.kernel), self.strides, self.padding.upper(), dilations=self.dilation_rate
        )
        if self.use_bias:
            y = tf.nn.bias_add(y, self.bias)
        return self.activation(y) if self.activation is not None else y
