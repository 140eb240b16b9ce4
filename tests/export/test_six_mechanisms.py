"""All six mechanisms on ResNet-20 export, equal to Keras on 64 images, in shapes that delegates take."""

import keras
import numpy as np
import pytest
from support.models import pixels, randomise

import kattn
from kattn.zoo import create

MECHANISMS = ("se", "cbam", "bam", "gc", "afi", "abn")
DYNAMIC = {"SHAPE", "GATHER", "PACK", "Shape", "Gather", "Cast"}


@pytest.fixture(scope="module", params=MECHANISMS)
def model(request):
    model = create(f"{request.param}_resnet20")
    randomise(model)
    return model


@pytest.fixture(scope="module")
def images():
    return pixels((64, 32, 32, 3))


@pytest.mark.slow
def test_saved_model(model, images, tmp_path):
    report = kattn.export.saved_model(model, tmp_path / "model", images=images)
    assert report.max_abs_diff <= 1e-4 and report.top1_agreement == 1


@pytest.mark.slow
def test_tflite(model, images, tmp_path):
    report = kattn.export.tflite(model, tmp_path / "model.tflite", images=images)
    assert report.max_abs_diff <= 1e-4
    assert not DYNAMIC & set(report.ops)
    assert (report.checks["operators"], report.checks["dimensions"]) == ("builtins only", "at most 4")


@pytest.mark.slow
def test_onnx(model, images, tmp_path):
    report = kattn.export.onnx(model, tmp_path / "model.onnx", images=images)
    assert report.max_abs_diff <= 1e-4
    assert not (DYNAMIC | {"BatchNormalization"}) & set(report.ops)
    assert report.ops.get("Transpose", 0) <= 2


def test_eight_bits_keep_what_cbam_pools(tmp_path):
    """In one tensor, maximum and mean have the maximum's range, which TensorFlow Lite then gives to the map as well."""
    image = keras.Input((12, 12, 3))
    x = keras.layers.Conv2D(32, 3)(keras.layers.Rescaling(1 / 64, -2)(image))
    model = keras.Model(image, kattn.layers.CBAM(reduction=4)(x))
    randomise(model)
    inputs = pixels((32, 12, 12, 3))
    report = kattn.export.tflite(model, tmp_path / "m.tflite", precision="int8", calibration=inputs, min_agreement=0)
    exact = model.predict(inputs, verbose=0)
    found = kattn.export.load(report.path)(inputs)["predictions"]
    assert np.sqrt(np.mean((found - exact) ** 2) / np.mean(exact**2)) <= 0.05
