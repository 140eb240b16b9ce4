"""All six mechanisms on ResNet-20 export, equal to Keras on 64 images, in shapes that delegates take."""

import pytest
from helpers import pixels, randomise

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


def test_saved_model(model, images, tmp_path):
    report = kattn.export.saved_model(model, tmp_path / "model", images=images)
    assert report.max_abs_diff <= 1e-4 and report.top1_agreement == 1


def test_tflite(model, images, tmp_path):
    report = kattn.export.tflite(model, tmp_path / "model.tflite", images=images)
    assert report.max_abs_diff <= 1e-4
    assert not DYNAMIC & set(report.ops)
    assert (report.checks["operators"], report.checks["dimensions"]) == ("builtins only", "at most 4")


def test_onnx(model, images, tmp_path):
    report = kattn.export.onnx(model, tmp_path / "model.onnx", images=images)
    assert report.max_abs_diff <= 1e-4
    assert not (DYNAMIC | {"BatchNormalization"}) & set(report.ops)
    assert report.ops.get("Transpose", 0) <= 2
