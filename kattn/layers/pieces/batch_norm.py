"""Batch normalisation that trains by one fused kernel on TensorFlow, where Keras's own takes a dozen."""

from __future__ import annotations

from typing import Any

import keras


@keras.saving.register_keras_serializable("kattn")
class BatchNormalization(keras.layers.BatchNormalization):
    """Keras's batch normalisation; on TensorFlow a step of training is one kernel forward and one backward.

    Keras writes it out as mean, variance, difference, scale and shift, each of which reads and writes the whole map,
    in float32 whatever the model's precision. The fused kernel keeps float16 and bfloat16 maps as they are and
    computes in float32 within. Everything else is Keras's: weights, options, numbers up to rounding (Ioffe and
    Szegedy, 2015), inference, and also the training of maps that are no (batch, height, width, channels), of masked
    ones, with statistics shared between devices (`synchronized`) or `renorm`, and in float64.

    Shapes: any to the same.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalise by the batch's statistics in training, else by the moving ones."""
        if training and self.trainable and mask is None and self._fuses(inputs):
            return self._fused(inputs)
        return super().call(inputs, training=training, mask=mask)

    def _fuses(self, inputs: Any) -> bool:
        return (
            keras.backend.backend() == "tensorflow"
            and len(inputs.shape) == 4
            and self.axis in (-1, 3)
            and not (self.synchronized or self.renorm)
            and keras.backend.standardize_dtype(inputs.dtype) in ("float32", "float16", "bfloat16")
        )

    def _fused(self, inputs: Any) -> Any:
        import tensorflow as tf

        channels = inputs.shape[-1]
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=tf.cast(self.gamma, "float32") if self.scale else tf.ones(channels),
            offset=tf.cast(self.beta, "float32") if self.center else tf.zeros(channels),
            mean=tf.zeros(0),
            variance=tf.zeros(0),
            epsilon=self.epsilon,
            is_training=True,
        )
        # The kernel gives the estimate for the population, n / (n - 1) times the batch's variance, which Keras keeps.
        count = tf.cast(tf.size(inputs, tf.int64), "float32") / channels
        variance *= (count - 1) / count
        for moving, new in ((self.moving_mean, mean), (self.moving_variance, variance)):
            old = tf.cast(moving, "float32")
            moving.assign(old * self.momentum + new * (1.0 - self.momentum))
        return outputs
