"""Grad-CAM and Grad-CAM++ are their papers' equations, on any graph."""

import keras
import numpy as np
import pytest
from keras import layers, ops
from support.explaining import in_0_1, linear, two_convolutions
from support.models import pixels, randomise

from kattn.explain import cam, grad_cam, grad_cam_plus_plus
from kattn.zoo import create

IMAGES = np.random.default_rng(0).standard_normal((5, 8, 6, 3)).astype("float32")


def written_out_cam(model, images, classes):
    maps = np.asarray(keras.Model(model.inputs[0], model.get_layer("maps").output)(images))
    kernel = np.asarray(model.get_layer("logits").kernel)
    return in_0_1(np.einsum("nhwc,cn->nhw", maps, kernel[:, classes]))


def test_grad_cam_and_cam_equal_the_written_out_equation():
    model = linear()
    predicted = np.asarray(model(IMAGES)).argmax(-1)
    each = [0, 1, 2, 3, 0]
    for method in (cam, grad_cam):
        np.testing.assert_allclose(method(model, IMAGES), written_out_cam(model, IMAGES, predicted), atol=1e-5)
        np.testing.assert_allclose(method(model, IMAGES, classes=2), written_out_cam(model, IMAGES, [2] * 5), atol=1e-5)
        parts = method(model, IMAGES, classes=each, batch_size=2)
        np.testing.assert_allclose(parts, written_out_cam(model, IMAGES, each), atol=1e-5)


def by_differences(model, images, classes):
    """The maps of layer "first" and the gradient of the logit by each of their values, from the definition: the model
    behind that layer is evaluated with one value changed at a time."""
    first = model.get_layer("first")
    behind = keras.Model(first.output, model.output)
    maps = np.asarray(keras.Model(model.inputs[0], first.output)(images), "float32")
    step = np.float32(1e-2)
    gradients = np.zeros_like(maps)
    for n, (one, label) in enumerate(zip(maps, classes, strict=True)):
        moves = step * np.eye(one.size, dtype="float32").reshape(-1, *one.shape)
        up, down = (np.asarray(behind.predict_on_batch(one + sign * moves), "float64")[:, label] for sign in (1, -1))
        gradients[n] = ((up - down) / (2 * step)).reshape(one.shape)
    return maps, gradients


def test_where_gradients_differ_by_position_both_methods_equal_their_papers():
    model = two_convolutions()
    images = np.random.default_rng(1).standard_normal((2, 9, 9, 3)).astype("float32")
    maps, g = by_differences(model, images, [0, 2])

    def shown(weights):
        heat = ops.relu(np.einsum("nc,nhwc->nhw", weights, maps))[..., None]
        return in_0_1(np.asarray(ops.image.resize(heat, (9, 9), data_format="channels_last"))[..., 0])

    expected = shown(g.mean((1, 2)))
    np.testing.assert_allclose(grad_cam(model, images, classes=[0, 2], layer="first"), expected, atol=1e-3)
    divisor = 2 * g**2 + maps.sum((1, 2), keepdims=True) * g**3
    share = np.divide(g**2, divisor, out=np.zeros_like(g), where=divisor != 0)
    expected = shown((share * np.maximum(g, 0)).sum((1, 2)))
    heat = grad_cam_plus_plus(model, images, classes=[0, 2], layer="first")
    np.testing.assert_allclose(heat, expected, atol=5e-3)


def test_grad_cam_equals_an_implementation_by_automatic_differentiation():
    tf = pytest.importorskip("tensorflow")
    model = create("resnet20", input_shape=(16, 16, 3), depths=(1, 1, 1))
    randomise(model)
    images = pixels((2, 16, 16, 3))
    last = [layer for layer in model.layers if len(layer.output.shape) == 4][-1]
    both = keras.Model(model.inputs[0], [last.output, model.get_layer("logits").output])
    with tf.GradientTape() as tape:
        maps, logits = both(images)
        score = tf.reduce_sum(tf.reduce_max(logits, axis=-1))
    weights = tf.reduce_mean(tape.gradient(score, maps), axis=(1, 2))
    heat = tf.nn.relu(tf.einsum("nc,nhwc->nhw", weights, maps))[..., None]
    expected = in_0_1(tf.image.resize(heat, (16, 16)).numpy()[..., 0])
    np.testing.assert_allclose(grad_cam(model, images), expected, atol=1e-5)


def test_a_softmax_inside_the_last_layer_is_taken_off():
    plain, fused = two_convolutions(), two_convolutions(fused=True)
    fused.set_weights(plain.get_weights())
    images = np.random.default_rng(1).standard_normal((2, 9, 9, 3)).astype("float32")
    np.testing.assert_allclose(grad_cam(fused, images, classes=1), grad_cam(plain, images, classes=1), atol=1e-5)


def nested():
    """An inner model in front of two outputs."""
    inner = keras.Sequential(
        [keras.Input((8, 6, 3)), layers.Conv2D(6, 3, activation="relu", name="a"), layers.Conv2D(5, 3, name="b")],
        name="inner",
    )
    x = keras.Input((8, 6, 3), name="image")
    y = layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(inner(x)))
    ten = layers.Dense(4, activation="softmax", name="four")(y)
    one = layers.Dense(1, activation="sigmoid", name="one")(y)
    model = keras.Model(x, [ten, one])
    randomise(model)
    return model


def test_nested_models_and_several_outputs_are_explained():
    model = nested()
    np.testing.assert_allclose(grad_cam(model, IMAGES), cam(model, IMAGES), atol=1e-5)
    inside = grad_cam(model, IMAGES, layer="inner/a", output="one")
    np.testing.assert_array_equal(inside, grad_cam(model, IMAGES, layer="a", output=1))
    x = keras.Input((8, 6, 3), name="image")
    outer = keras.Model(x, model(x)[0])
    np.testing.assert_allclose(grad_cam(outer, IMAGES), grad_cam(model, IMAGES, output="four"), atol=1e-6)
    assert "inner" in [layer.name for layer in model.layers]  # left as it was


def test_a_layer_with_a_way_around_it_gets_the_gradient_through_itself():
    x = keras.Input((8, 6, 3), name="image")
    branch = layers.Conv2D(3, 1, name="branch")(x)
    y = layers.Dense(4)(layers.GlobalAveragePooling2D()(layers.Add()([x, branch])))
    model = keras.Model(x, y)
    randomise(model)
    maps = np.asarray(keras.Model(x, branch)(IMAGES))
    expected = in_0_1(np.einsum("nhwc,c->nhw", maps, np.asarray(model.layers[-1].kernel)[:, 2]))
    np.testing.assert_allclose(grad_cam(model, IMAGES, classes=2, layer="branch"), expected, atol=1e-5)


@pytest.mark.parametrize("name", ["afi_resnet20", "abn_resnet20"])
def test_zoo_models_give_a_map_of_the_images_size(name):
    heat = grad_cam(create(name, input_shape=(16, 20, 3), depths=(1, 1, 1)), pixels((3, 16, 20, 3)))
    assert heat.shape == (3, 16, 20) and heat.min() >= 0 and heat.max() <= 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layer": "mops"}, "no layer 'mops'; closest: maps"),
        ({"layer": "logits"}, "gives no feature map"),
        ({"classes": 4}, "classes must be 0 to 3"),
        ({"classes": -1}, "classes must be 0 to 3"),
        ({"classes": [0, 1]}, "one for each of 1 images"),
        ({"classes": 1.5}, "one class number"),
        ({"output": "other"}, "has the outputs predictions"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
    ],
)
def test_bad_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        grad_cam(linear(), np.zeros((1, 8, 6, 3)), **options)


class Subclassed(keras.Model):
    def call(self, x):
        return x


def test_models_that_cannot_be_explained_say_why():
    x = keras.Input((8,))
    flat = keras.Model(x, layers.Dense(3)(x))
    image = keras.Input((8, 6, 3), name="image")
    dense = keras.Model(image, layers.Dense(3)(layers.Flatten()(image)))
    two = keras.Model([x, image], layers.Dense(3)(x))
    maps = keras.Model(image, layers.Conv2D(3, 1)(image))
    with pytest.raises(ValueError, match="takes images of"):
        grad_cam(flat, np.zeros((1, 8, 6, 3)))
    with pytest.raises(ValueError, match="no convolution"):
        grad_cam(dense, IMAGES)
    with pytest.raises(ValueError, match="one input"):
        grad_cam(two, IMAGES)
    with pytest.raises(ValueError, match="functional or a built Sequential"):
        grad_cam(Subclassed(), IMAGES)
    with pytest.raises(ValueError, match="no class scores"):
        grad_cam(maps, IMAGES)
