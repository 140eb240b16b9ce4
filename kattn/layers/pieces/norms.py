"""Batch normalisation with the references' settings; on TensorFlow it trains by one fused kernel."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

BN_EPSILON = 1e-5  # every reference implementation's; Keras's own default is 1e-3
BN_MOMENTUM = 0.9  # weight of the old statistics: torch's 0.1 on the new ones


def batch_norm(**kwargs: Any) -> BatchNormalization:
    """Batch normalisation over the last axis with the references' epsilon and momentum."""
    return BatchNormalization(**{"epsilon": BN_EPSILON, "momentum": BN_MOMENTUM} | kwargs)


@keras.saving.register_keras_serializable("kattn")
class BatchNormalization(keras.layers.BatchNormalization):
    """Keras's batch normalisation with the references' moving variance; on TensorFlow it trains by a fused kernel.

    Keras writes it out as mean, variance, difference, scale and shift, each of which reads and writes the whole map,
    in float32 whatever the model's precision. The fused kernel keeps float16 and bfloat16 maps as they are and
    computes in float32 within. The moving variance takes up the estimate for the population, n / (n - 1) times the
    variance of a batch's n values, as in torch, Caffe and TensorFlow's kernel; Keras's own takes up the latter.
    Everything else is Keras's: weights, options, numbers up to rounding (Ioffe and Szegedy, 2015), inference, and
    also the whole of training with a mask, with statistics shared between devices (`synchronized`) and with `renorm`.

    Shapes: any to the same.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalise by the batch's statistics in training, else by the moving ones."""
        if not (training and self.trainable) or mask is not None or self.synchronized or self.renorm:
            return super().call(inputs, training=training, mask=mask)
        if self._fuses(inputs):
            return self._fused(inputs)
        kept = self.moving_variance * self.momentum  # read before Keras's step writes it
        outputs = super().call(inputs, training=training)
        count = ops.cast(ops.size(inputs) / ops.size(kept), kept.dtype)
        self.moving_variance.assign(kept + (self.moving_variance - kept) * count / ops.maximum(count - 1, 1))
        return outputs

    def _fuses(self, inputs: Any) -> bool:
        return (
            keras.backend.backend() == "tensorflow"
            and len(inputs.shape) == 4
            and self.axis in (-1, 3)
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
        for moving, new in ((self.moving_mean, mean), (self.moving_variance, variance)):
            old = tf.cast(moving, "float32")
            moving.assign(old * self.momentum + new * (1.0 - self.momentum))
        return outputs
