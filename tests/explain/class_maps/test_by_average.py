"""CAM is its paper's equation, of networks that end in an average."""

import keras
import numpy as np
import pytest
from keras import layers
from support.explaining import in_0_1, two_convolutions
from support.models import randomise

from kattn.explain import cam
from kattn.layers import AttentionBranch

IMAGES = np.random.default_rng(0).standard_normal((5, 8, 6, 3)).astype("float32")


def test_an_attention_branch_has_a_map_for_each_class_or_attribute():
    x = keras.Input((8, 6, 3), name="image")
    branch = AttentionBranch(4)
    model = keras.Model(x, {"attention_predictions": layers.Activation("sigmoid")(branch(x)[0])})
    randomise(model)
    maps = np.asarray(branch.class_maps(IMAGES))
    np.testing.assert_allclose(maps.mean((1, 2)), np.asarray(branch(IMAGES)[0]), atol=1e-5)
    heat = cam(model, IMAGES, classes=3, output="attention_predictions")
    np.testing.assert_allclose(heat, in_0_1(maps[..., 3]), atol=1e-6)


def test_a_network_that_ends_otherwise_is_referred_to_grad_cam():
    with pytest.raises(ValueError, match="Use grad_cam"):
        cam(two_convolutions(), np.zeros((1, 9, 9, 3)))
