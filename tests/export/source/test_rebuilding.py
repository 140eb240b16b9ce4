"""Models of half precision and with Keras's grouped convolutions are exported as their float32 twins."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from support.small_models import SIZE, build

from kattn.export import ExportInputError, load, onnx, tflite
from kattn.export.source.preparing import prepare
from kattn.export.source.rebuilding import reasons_to_rebuild
from kattn.graph.inside import all_layers
from kattn.layers.pieces.grouped import GroupedConv2D


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_a_mixed_policy_is_rebuilt_in_float32(policy, images, tmp_path):
    mixed = build(policy=policy)
    plain = build()
    assert mixed.get_layer("conv1").compute_dtype != "float32"
    source = prepare(mixed)
    assert {layer.compute_dtype for layer in all_layers(source.model)} == {"float32"}
    report = tflite(mixed, tmp_path / "m.tflite")
    assert report.max_abs_diff <= 1e-5 and any(policy in warning for warning in report.warnings)
    expected = plain.predict(images.astype("float32"), verbose=0)  # the same seed: the same weights
    np.testing.assert_allclose(load(tmp_path / "m.tflite")(images)["predictions"], expected, atol=1e-5)


def test_casts_to_half_precision_are_rebuilt(images, tmp_path):
    image = keras.Input((SIZE, SIZE, 3))
    half = keras.ops.cast(keras.ops.cast(image, "float16") / 255, "float32")
    model = keras.Model(image, keras.layers.GlobalAveragePooling2D()(half))
    report = onnx(model, tmp_path / "m.onnx", images=images)
    assert "Cast" not in report.ops
    assert any("casts to half precision" in warning for warning in report.warnings)


def test_grouped_convolutions_inside_a_nested_model(images, tmp_path):
    image = keras.Input((SIZE, SIZE, 3))
    inner_input = keras.Input((SIZE, SIZE, 4))
    inner = keras.Model(inner_input, keras.layers.Conv2D(8, 3, strides=2, groups=2, name="grouped")(inner_input))
    outer = keras.Model(image, inner(keras.layers.Conv2D(4, 1)(image)))
    source = prepare(outer)
    assert any(isinstance(layer, GroupedConv2D) for layer in all_layers(source.model))
    assert onnx(outer, tmp_path / "m.onnx", images=images).max_abs_diff <= 1e-3
    assert tflite(outer, tmp_path / "m.tflite", images=images).max_abs_diff <= 1e-3


def test_an_adapted_normalisation_keeps_its_statistics(images):
    image = keras.Input((SIZE, SIZE, 3))
    normalise = keras.layers.Normalization(dtype="float32")
    normalise.adapt(images.astype("float32"))
    inner = keras.Sequential([keras.Input((SIZE, SIZE, 3)), normalise])
    model = keras.Model(
        image, keras.layers.Conv2D(4, 3, groups=2, name="grouped")(keras.layers.Conv2D(2, 1)(inner(image)))
    )
    source = prepare(model)
    assert source.model is not model and source.notes
    twin = source.model(images.astype("float32"))["predictions"]
    np.testing.assert_allclose(twin, model(images.astype("float32")), atol=1e-5)


def test_a_plain_model_is_taken_as_it_is(model):
    assert reasons_to_rebuild(model) == []
    source = prepare(model)
    assert source.model is source.reference and source.notes == []


def test_wrapped_layers_are_found():
    image = keras.Input((3, SIZE, SIZE, 1))
    inner = keras.layers.Conv2D(2, 3, dtype="mixed_float16")
    x = keras.layers.TimeDistributed(inner, dtype="float32")(image)
    assert reasons_to_rebuild(keras.Model(image, keras.layers.Flatten()(x))) == ["policy mixed_float16"]


def test_what_keras_quantised_is_refused(tmp_path):
    image = keras.Input((4, 4, 3))
    model = keras.Model(image, keras.layers.Dense(4, name="dense")(image))
    with pytest.warns(UserWarning, match="InputLayer"):
        model.quantize("int8")
    with pytest.raises(ExportInputError, match=r"'dense' was quantised by Keras"):
        tflite(model, tmp_path / "m.tflite")


def test_a_layer_that_cannot_be_rebuilt_is_named(tmp_path):
    class Forgetful(keras.layers.Layer):
        def __init__(self, function, **options):
            super().__init__(**options)
            self.function = function

        def call(self, x):
            return self.function(x)

    image = keras.Input((4, 4, 3))
    model = keras.Model(image, Forgetful(lambda x: x * 2, dtype="mixed_float16")(image))
    with pytest.raises(ExportInputError, match=r"could not be rebuilt.*'forgetful' \(Forgetful\).*get_config"):
        tflite(model, tmp_path / "m.tflite")
    kept = keras.Model(image, Forgetful(lambda x: x * 2)(image))  # in float32 nothing needs to be rebuilt
    assert tflite(kept, tmp_path / "m.tflite").max_abs_diff <= 1e-5
