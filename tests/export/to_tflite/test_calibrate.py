"""Activations are quantised by the ranges that they have."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops
from support.models import pixels, randomise

from kattn.export import tflite
from kattn.export.quiet import converting
from kattn.export.to_tflite.calibrate import quantise
from kattn.export.to_tflite.findings import in_floats
from kattn.export.to_tflite.graph import parse_tflite, read_tflite

SIZE = 10


def limits(tensor):
    """The real numbers that an 8-bit tensor can hold."""
    (scale,), (zero_point,) = tensor.scale, tensor.zero_point
    return (-128 - zero_point) * scale, (127 - zero_point) * scale


class OnePlus(keras.layers.Layer):
    """x (1 + sigmoid(3 x)): the product is written over its first factor, the gate."""

    def call(self, x):
        return (1.0 + ops.sigmoid(3.0 * x)) * x


class Pooled(keras.layers.Layer):
    """Largest and mean value over the channels side by side, as in CBAM, beside the map."""

    def call(self, x):
        both = ops.concatenate([ops.max(x, -1, keepdims=True), ops.mean(x, -1, keepdims=True)], -1)
        return x * ops.mean(both, -1, keepdims=True)


def exported(layer, folder, images=None, **options):
    image = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.Conv2D(16, 3, name="conv")(keras.layers.Rescaling(1 / 64, -2)(image))
    model = keras.Model(image, keras.layers.ReLU()(layer(x)) * 2.0)
    randomise(model, seed=5)
    images = pixels((24, SIZE, SIZE, 3)) if images is None else images
    report = tflite(model, folder / "m.tflite", precision="int8", calibration=images, min_agreement=0, **options)
    maps = keras.Model(image, x).predict(images, verbose=0)
    return read_tflite(report.path).operators, maps


def test_a_gate_has_the_range_of_a_gate(tmp_path):
    operators, _ = exported(OnePlus(), tmp_path)
    (total,) = (operator for operator in operators if operator.name == "ADD")
    assert limits(total.outputs[0]) == pytest.approx((0, 2), abs=0.1)


def test_a_map_keeps_its_negative_values_beside_its_maximum(tmp_path):
    operators, maps = exported(Pooled(), tmp_path)
    (conv,) = (operator for operator in operators if operator.name == "CONV_2D")
    least, most = limits(conv.outputs[0])
    assert least <= 0.9 * maps.min() and most >= 0.9 * maps.max()


def test_a_unit_that_never_wakes_has_a_range_all_the_same(tmp_path):
    class Dead(keras.layers.Layer):
        def call(self, x):
            return ops.relu(x - 1e4) + x

    operators, _ = exported(Dead(), tmp_path)
    assert all(np.min(tensor.scale) > 1e-6 for operator in operators for tensor in operator.outputs)


@pytest.mark.parametrize(("method", "counted"), [("percentile", False), ("minmax", True)])
def test_one_image_unlike_the_others(method, counted, tmp_path):
    images = np.full((64, SIZE, SIZE, 3), 128.0, "float32") + np.random.default_rng(0).uniform(-9, 9, (64, 1, 1, 1))
    images[3, :, ::2], images[3, :, 1::2] = 255.0, 0.0
    operators, maps = exported(OnePlus(), tmp_path, images.astype("float32"), calibration_method=method)
    (conv,) = (operator for operator in operators if operator.name == "CONV_2D")
    least, most = limits(conv.outputs[0])
    assert (most >= 0.95 * maps.max() and least <= 0.95 * maps.min()) == counted
    others = np.delete(maps, 3, axis=0)
    assert most >= 0.95 * others.max() and least <= 0.95 * others.min()


def test_lstms_are_integers_throughout_each_time(tmp_path):
    """TensorFlow's quantiser alone leaves their first splits in floating point in every second file of two LSTMs."""
    image = keras.Input((8, 6, 3), batch_size=1)
    x = keras.layers.LSTM(4, unroll=True, return_sequences=True)(keras.layers.Reshape((8, 18))(image))
    model = keras.Model(image, keras.layers.Dense(3)(keras.layers.LSTM(4, unroll=True)(x)))
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.representative_dataset = lambda: ([x[None]] for x in pixels((4, 8, 6, 3)) / np.float32(255))
    converter._experimental_calibrate_only = True
    with converting("TensorFlow Lite"):
        calibrated = converter.convert()
        files = [parse_tflite(quantise(calibrated, tf.int8)) for _ in range(12)]
    assert not [operator for graph in files for operator in graph.operators if in_floats(operator)]
