"""Class maps of one unit, of several answers, of a regression and of a map of classes, or a refusal that helps."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers
from support.models import randomise

from kattn.explain import cam, deletion_insertion, grad_cam, grad_cam_plus_plus

SIZE = 6
IMAGES = np.random.default_rng(0).standard_normal((3, SIZE, SIZE, 3)).astype("float32")


def model_of(end, **compiled):
    """One convolution of four maps, called "a", and what `end` makes of it."""
    image = keras.Input((SIZE, SIZE, 3))
    model = keras.Model(image, end(layers.Conv2D(4, 3, padding="same", activation="relu", name="a")(image)))
    randomise(model, seed=1)
    if compiled:
        model.compile(**compiled)
    return model


def pooled(x):
    return layers.GlobalAveragePooling2D()(x)


def features(model):
    return keras.Model(model.input, model.get_layer("a").output).predict(IMAGES, verbose=0)


def shown(weights, maps):
    """Grad-CAM of weights (images, channels) by its definition."""
    heat = np.maximum(np.einsum("nc,nhwc->nhw", weights, maps), 0)
    top = heat.max(axis=(1, 2), keepdims=True)
    return np.where(top > 0, heat / np.where(top > 0, top, 1), 0)


@pytest.mark.parametrize("end", ["activation", "layer", "operation"])
def test_of_one_unit_each_side_has_its_map(end):
    model = model_of(
        {
            "activation": lambda x: layers.Dense(1, activation="sigmoid", name="d")(pooled(x)),
            "layer": lambda x: layers.Activation("sigmoid")(layers.Dense(1, name="d")(pooled(x))),
            "operation": lambda x: keras.ops.sigmoid(layers.Dense(1, name="d")(pooled(x))),
        }[end]
    )
    kernel = model.get_layer("d").get_weights()[0][:, 0]
    maps, yes = features(model), model.predict(IMAGES, verbose=0)[:, 0] > 0.5
    for side, sign in ((1, 1), (0, -1)):
        expected = shown(np.tile(sign * kernel, (3, 1)), maps)
        np.testing.assert_allclose(grad_cam(model, IMAGES, classes=side), expected, atol=1e-5)
        if end != "operation":
            np.testing.assert_allclose(cam(model, IMAGES, classes=side), expected, atol=1e-5)
    expected = shown(np.where(yes[:, None], kernel, -kernel), maps)
    np.testing.assert_allclose(grad_cam(model, IMAGES), expected, atol=1e-5)
    with pytest.raises(ValueError, match="classes must be 0 to 1"):
        grad_cam(model, IMAGES, classes=2)
    curves = deletion_insertion(model, IMAGES, expected, classes=0, steps=2)
    assert curves.deletion[:, 0] == pytest.approx(1 - model.predict(IMAGES, verbose=0)[:, 0], abs=1e-5)


def test_of_one_value_the_map_is_of_what_raises_it():
    model = model_of(lambda x: layers.Dense(1, name="d")(pooled(x)))
    kernel = model.get_layer("d").get_weights()[0][:, 0]
    expected = shown(np.tile(kernel, (3, 1)), features(model))
    np.testing.assert_allclose(grad_cam(model, IMAGES), expected, atol=1e-5)
    np.testing.assert_allclose(cam(model, IMAGES, classes=0), expected, atol=1e-5)


def test_of_several_values_one_has_to_be_named():
    model = model_of(lambda x: layers.Dense(3, name="d")(pooled(x)), loss="mse")
    kernel = model.get_layer("d").get_weights()[0]
    for method in (grad_cam, grad_cam_plus_plus, cam):
        with pytest.raises(ValueError, match=r"gives values, 3 numbers of which none is the predicted one.*classes="):
            method(model, IMAGES)
    expected = shown(np.tile(kernel[:, 2], (3, 1)), features(model))
    np.testing.assert_allclose(grad_cam(model, IMAGES, classes=2), expected, atol=1e-5)
    grad_cam(model_of(lambda x: layers.Dense(3)(pooled(x))), IMAGES)  # may be logits of classes: nothing says otherwise


def test_of_a_map_one_pixel_or_all_that_are_called_so_are_explained():
    model = model_of(lambda x: layers.Conv2D(3, 1, activation="softmax", name="d")(x))
    kernel = model.get_layer("d").get_weights()[0][0, 0]
    maps, called = features(model), model.predict(IMAGES, verbose=0).argmax(-1)
    one = grad_cam(model, IMAGES, classes=1, position=(2, 3))
    np.testing.assert_allclose(one, shown(np.tile(kernel[:, 1], (3, 1)), maps), atol=1e-5)
    np.testing.assert_allclose(grad_cam(model, IMAGES, classes=1), one, atol=1e-5)  # every pixel has the same weights
    most = np.array([np.bincount(each.ravel(), minlength=3).argmax() for each in called])
    np.testing.assert_allclose(grad_cam(model, IMAGES), grad_cam(model, IMAGES, classes=most), atol=1e-5)
    deep = model_of(lambda x: layers.Conv2D(3, 1, activation="softmax")(layers.Conv2D(4, 3, activation="relu")(x)))
    places = [grad_cam(deep, IMAGES, classes=1, layer="a", position=place) for place in ((0, 0), (3, 3))]
    assert not np.allclose(*places)


@pytest.mark.parametrize("position", [(6, 0), (0, -1), (1,), 4])
def test_a_place_outside_the_map_is_told(position):
    model = model_of(lambda x: layers.Conv2D(3, 1, activation="softmax")(x))
    with pytest.raises(ValueError, match=r"position must be a place of \(6, 6\)"):
        grad_cam(model, IMAGES, position=position)


def test_a_mask_of_one_channel_has_two_sides():
    model = model_of(lambda x: layers.Conv2D(1, 1, activation="sigmoid")(x))
    both = [grad_cam(model, IMAGES, classes=side, position=(1, 1)) for side in (0, 1)]
    assert not np.allclose(*both)


def test_what_cannot_be_explained_says_what_to_give():
    model = model_of(lambda x: {"numbers": keras.ops.argmax(pooled(x), -1), "classes": layers.Dense(2)(pooled(x))})
    with pytest.raises(ValueError, match=r"'numbers'.* whole numbers, which have no gradient.*do: .*classes"):
        grad_cam(model, IMAGES, output="numbers")
    embedding = model_of(pooled)
    with pytest.raises(ValueError, match=r"gives embedding, 4 numbers of which none is the predicted one"):
        grad_cam(embedding, IMAGES)
    assert grad_cam(embedding, IMAGES, classes=2).shape == IMAGES.shape[:3]
    with pytest.raises(ValueError, match="it has no pixels"):
        grad_cam(embedding, IMAGES, classes=2, position=(0, 0))
    segmenter = model_of(lambda x: layers.Conv2D(3, 1, activation="softmax")(x))
    with pytest.raises(ValueError, match=r"gives no class scores \(batch, classes\)"):
        cam(segmenter, IMAGES)
    linear = model_of(lambda x: layers.Conv2D(3, 1)(x))
    with pytest.raises(ValueError, match='kinds="map" says that these are scores of pixels'):
        grad_cam(linear, IMAGES)
    assert {grad_cam(linear, IMAGES, kinds="map", classes=i).max() for i in range(3)} >= {1.0}
