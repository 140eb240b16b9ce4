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
    with pytest.raises(ValueError, match="normalises raw pixels"):
        grad_cam(keras.Model(x, y), np.full((1, 8, 6, 3), 0.5))
