"""Batch normalisation with the references' settings, fused on TensorFlow; layer normalisation written out."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from kattn.layers.pieces.portable import integers

BN_EPSILON = 1e-5  # every reference implementation's; Keras's own default is 1e-3
LN_EPSILON = 1e-5  # torch's; Keras's default is 1e-3
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


def standardised(hidden: Any, epsilon: float) -> Any:
    """Layer normalisation, written out: Keras's emits an operation that int8 runtimes compute in float."""
    centred = hidden - ops.mean(hidden, axis=-1, keepdims=True)
    if not integers():
        return centred * ops.rsqrt(ops.mean(ops.square(centred), axis=-1, keepdims=True) + epsilon)
    # 8 bits of a variance are 4 of a deviation, and a small one becomes 0. A vector brought to length 1 is one
    # operation for integer runtimes, exact inside; a constant entry stands for epsilon.
    count = hidden.shape[-1]
    if count == 1:
        return ops.zeros_like(hidden)
    constant = ops.full_like(centred[..., :1], math.sqrt(count * epsilon))
    vector = ops.concatenate([centred, constant], axis=-1)
    unit = vector * ops.rsqrt(ops.sum(ops.square(vector), axis=-1, keepdims=True))
    return unit[..., :count] * math.sqrt(count)
