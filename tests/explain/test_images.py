"""Images that a model cannot take are refused with the reason."""

import keras
import numpy as np
import pytest
from keras import layers
from support.explaining import linear

from kattn.explain import grad_cam


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((8, 6, 3)), "images must be numbers"),
        (np.zeros((0, 8, 6, 3)), "images must be numbers"),
        (np.zeros((1, 8, 8, 3)), "takes images of"),
        (np.zeros((1, 8, 6, 1)), "takes images of"),
        (np.full((1, 8, 6, 3), np.nan), "not finite"),
        (np.full((1, 8, 6, 3), "a"), "images must be numbers"),
    ],
)
def test_bad_images_are_named(images, message):
    with pytest.raises(ValueError, match=message):
        grad_cam(linear(), images)


def test_images_in_0_1_are_no_pixels():
    x = keras.Input((8, 6, 3), name="image")
    y = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 1)(layers.Rescaling(1 / 255)(x)))
    model, unit = keras.Model(x, y), np.full((1, 8, 6, 3), 0.5)
    with pytest.raises(ValueError, match=r"raw pixels from 0 to 255 .*value_range=\(0, 1\)"):
        grad_cam(model, unit)
    assert grad_cam(model, unit, classes=0, value_range=(0, 1)).shape == (1, 8, 6)
    with pytest.raises(TypeError, match=r"'value_rang'.*value_range"):
        grad_cam(model, unit, value_rang=(0, 1))


def test_bytes_are_brought_to_the_range_of_the_model_and_floats_are_taken_as_they_are():
    model, random = linear(), np.random.default_rng(0)
    pixels = random.integers(0, 256, (4, 8, 6, 3)).astype("uint8")
    unit = pixels / np.float32(127.5) - 1
    expected = grad_cam(model, unit)
    np.testing.assert_allclose(grad_cam(model, pixels, value_range=(-1, 1)), expected, atol=1e-5)
    np.testing.assert_allclose(grad_cam(model, pixels, preprocess=lambda x: x / 127.5 - 1), expected, atol=1e-5)
    np.testing.assert_allclose(grad_cam(model, unit, value_range=(-1, 1)), expected, atol=1e-5)
