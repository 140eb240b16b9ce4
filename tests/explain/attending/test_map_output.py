"""A model with its map as a second output predicts the same, and exports in every format."""

import numpy as np
import pytest
from support.explaining import around
from support.models import pixels, randomise

import kattn.layers as kl
from kattn.explain import attention, with_attention
from kattn.zoo import create


def test_with_attention_adds_the_map_and_changes_no_prediction():
    model = create("cbam_resnet20", input_shape=(16, 16, 3), classes=4, depths=(1, 1, 1))
    randomise(model)
    images = pixels((2, 16, 16, 3))
    both = with_attention(model)
    assert list(both.output) == ["predictions", "attention_map"]
    answer = both(images)
    np.testing.assert_allclose(np.asarray(answer["predictions"]), np.asarray(model(images)), atol=1e-6)
    assert answer["attention_map"].shape == (2, 4, 4, 1)
    name = "stage1_block1_cbam"
    expected = attention(model, images, layers=name)[name]
    chosen = with_attention(model, layer=name)(images)["attention_map"]
    np.testing.assert_allclose(np.asarray(chosen)[..., 0], expected, atol=1e-6)
    with pytest.raises(ValueError, match="image size open"):
        with_attention(create("cbam_resnet20", input_shape=(None, None, 3), depths=(1, 1, 1)))


@pytest.mark.parametrize(
    "layer",
    [kl.CBAM(reduction=2, name="here"), pytest.param(kl.NonLocal(name="here"), marks=pytest.mark.slow)],
    ids=lambda layer: type(layer).__name__,
)
def test_the_model_with_its_map_exports_in_every_format(layer, tmp_path):
    pytest.importorskip("tensorflow")
    from kattn import export

    both = with_attention(around(layer, (8, 8, 6)))
    images = pixels((4, 8, 8, 6)) / 255
    expected = np.asarray(both(images)["attention_map"])
    exports = (
        (export.saved_model, "m"),
        (export.tflite, "m.tflite"),
        (export.onnx, "m.onnx"),
    )
    for write, name in exports:
        write(both, tmp_path / name, outputs="all", images=images)
        answer = export.load(tmp_path / name)(images)
        np.testing.assert_allclose(answer["attention_map"], expected, atol=1e-5)
