"""AFI's integration of several maps: one scoring of all in the artefact, no transposes, and 8 bits that hold."""

from __future__ import annotations

import keras
import pytest
from support.models import pixels, randomise

from kattn.export import onnx, tflite
from kattn.layers import AttentiveFeatureIntegration

SIZE = 16


@pytest.fixture(scope="module", params=[3, *(pytest.param(maps, marks=pytest.mark.slow) for maps in (2, 5))])
def model(request):
    """Maps of 8 channels, the first two side by side in one tensor, as in a stage of the zoo's networks."""
    image = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.Rescaling(1 / 127.5, -1)(image)
    maps = [keras.layers.Conv2D(16, 3, activation="relu", name="first")(x)]
    for number in range(request.param - 2):
        maps.append(keras.layers.Conv2D(8, 3, activation="relu", name=f"conv{number}")(x))
    x = AttentiveFeatureIntegration(channels=8, use_bias=True, name="integrate")(maps)
    x = keras.layers.Conv2D(8, 3, name="after")(x)
    predictions = keras.layers.Dense(5, activation="softmax")(keras.layers.GlobalAveragePooling2D()(x))
    model = keras.Model(image, predictions)
    randomise(model, seed=2)
    return model


@pytest.mark.parametrize("opset", [17, *(pytest.param(opset, marks=pytest.mark.slow) for opset in (13, 20))])
def test_onnx(model, tmp_path, opset):
    report = onnx(model, tmp_path / "m.onnx", opset=opset, layout="nchw")
    assert report.max_abs_diff <= 1e-5 and "Transpose" not in report.ops
    convolutions = sum(isinstance(layer, keras.layers.Conv2D) for layer in model.layers)
    assert report.ops["Conv"] == convolutions + 2  # the scoring's two, however many maps there are


def test_eight_bits(model, tmp_path):
    images = pixels((48, SIZE, SIZE, 3))
    for export, name in ((tflite, "m.tflite"), (onnx, "m.onnx")):
        report = export(model, tmp_path / name, precision="int8", calibration=images, min_agreement=0)
        assert report.max_abs_diff <= 0.03, name
