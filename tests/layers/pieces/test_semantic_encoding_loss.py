import keras
import numpy as np
import pytest
from keras import ops

from kattn.layers import SemanticEncodingLoss
from kattn.layers.pieces.semantic_encoding_loss import class_presence

LABELS = np.array([[[0, 2], [2, 255]], [[-1, 3], [1, 1]]], "int32")
PRESENT = np.array([[1, 0, 1, 0], [0, 1, 0, 1]], "float32")


@pytest.mark.parametrize("labels", [LABELS, LABELS[..., None], LABELS.astype("float32")])
def test_presence_ignores_labels_outside_the_classes(labels):
    np.testing.assert_array_equal(ops.convert_to_numpy(class_presence(labels, 4)), PRESENT)


def test_is_binary_cross_entropy_on_presence():
    logits = np.random.default_rng(0).normal(size=(2, 4)).astype("float32")
    chance = 1 / (1 + np.exp(-logits))
    want = -(PRESENT * np.log(chance) + (1 - PRESENT) * np.log(1 - chance)).mean()
    np.testing.assert_allclose(ops.convert_to_numpy(SemanticEncodingLoss()(LABELS, logits)), want, rtol=1e-5)


def test_round_trip_through_its_config():
    loss = SemanticEncodingLoss(name="presence", reduction="sum")
    copy = keras.losses.deserialize(keras.losses.serialize(loss))
    assert copy.get_config() == loss.get_config() and isinstance(copy, SemanticEncodingLoss)


def test_trains_a_step_beside_the_pixels_loss():
    from kattn.layers import ContextEncoding

    x = keras.Input((6, 5, 4))
    y, presence = ContextEncoding(3, classes=4)(x)
    y = keras.layers.Conv2D(4, 1, data_format="channels_last", name="pixels")(y)
    presence = keras.layers.Identity(name="presence")(presence)
    model = keras.Model(x, {"pixels": y, "presence": presence})
    losses = {
        "pixels": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        "presence": SemanticEncodingLoss(),
    }
    model.compile("sgd", losses, loss_weights={"pixels": 1.0, "presence": 0.2})
    labels = np.random.default_rng(1).integers(0, 4, (2, 6, 5))
    images = np.random.default_rng(0).normal(size=(2, 6, 5, 4)).astype("float32")
    history = model.fit(images, {"pixels": labels, "presence": labels}, verbose=0, epochs=2).history
    assert history["loss"][1] < history["loss"][0]
