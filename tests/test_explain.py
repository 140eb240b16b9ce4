"""Grad-CAM is the paper's equation, and pictures keep their pixels."""

import keras
import numpy as np
import pytest
from helpers import pixels, randomise
from keras import layers

from kattn.explain import grad_cam, overlay
from kattn.zoo import create


@pytest.fixture
def linear():
    """Convolution, global average, dense, softmax: here Grad-CAM is CAM, which the test writes out."""
    x = keras.Input((8, 6, 3))
    y = layers.Conv2D(5, 3, padding="same", activation="relu", name="maps")(x)
    y = layers.Dense(4, name="logits")(layers.GlobalAveragePooling2D()(y))
    model = keras.Model(x, layers.Activation("softmax")(y))
    randomise(model)
    return model


def cam(model, images, classes):
    maps = np.asarray(keras.Model(model.inputs[0], model.get_layer("maps").output)(images))
    kernel = np.asarray(model.get_layer("logits").kernel)
    heat = np.maximum(np.einsum("nhwc,cn->nhw", maps, kernel[:, classes]), 0)
    top = heat.max((1, 2), keepdims=True)
    return heat / np.where(top > 0, top, 1)


def test_it_equals_the_written_out_equation(linear):
    images = np.random.default_rng(0).standard_normal((5, 8, 6, 3)).astype("float32")
    predicted = np.asarray(linear(images)).argmax(-1)
    np.testing.assert_allclose(grad_cam(linear, images), cam(linear, images, predicted), atol=1e-5)
    np.testing.assert_allclose(grad_cam(linear, images, classes=2), cam(linear, images, [2] * 5), atol=1e-5)
    each = [0, 1, 2, 3, 0]
    np.testing.assert_allclose(
        grad_cam(linear, images, classes=each, batch_size=2), cam(linear, images, each), atol=1e-5
    )


@pytest.mark.parametrize("name", ["afi_resnet20", "abn_resnet20"])
def test_zoo_models_give_a_map_of_the_images_size(name):
    heat = grad_cam(create(name, input_shape=(16, 20, 3)), pixels((3, 16, 20, 3)))
    assert heat.shape == (3, 16, 20) and heat.min() >= 0 and heat.max() <= 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layer": "mops"}, "has no layer 'mops'"),
        ({"layer": "logits"}, "gives no feature map"),
        ({"classes": 4}, "classes must be 0 to 3"),
        ({"classes": -1}, "classes must be 0 to 3"),
    ],
)
def test_bad_arguments_are_named(linear, options, message):
    with pytest.raises(ValueError, match=message):
        grad_cam(linear, np.zeros((1, 8, 6, 3)), **options)


def test_images_have_to_be_a_batch(linear):
    with pytest.raises(ValueError, match="images must be"):
        grad_cam(linear, np.zeros((8, 6, 3)))


def test_a_layer_with_a_way_around_it_is_refused():
    model = create("resnet20")
    with pytest.raises(ValueError, match="not all paths"):
        grad_cam(model, pixels((1, 32, 32, 3)), layer="stage1_block2_conv1")


def test_overlay_mixes_pixels_and_colours():
    image = pixels((4, 5, 1))
    assert (overlay(image, np.zeros((4, 5)), strength=0) == np.rint(image).astype("uint8")).all()
    assert overlay(image, np.ones((4, 5))).shape == (4, 5, 3)
    with pytest.raises(ValueError, match="one size"):
        overlay(image, np.ones((5, 4)))
