"""Deletion, insertion and the pointing game on cases whose answer is known."""

import keras
import numpy as np
import pytest
from keras import layers
from scipy.ndimage import gaussian_filter

from kattn.explain import deletion_insertion, pointing_game
from kattn.explain.statistics.faithfulness import baseline_images


def brightness():
    """Two classes: the share of light in the image, and the rest."""
    x = keras.Input((4, 4, 1), name="image")
    light = layers.GlobalAveragePooling2D()(x)
    dense = layers.Dense(2)
    model = keras.Model(x, dense(light))
    dense.set_weights([np.array([[1.0, -1.0]], "float32"), np.array([0.0, 1.0], "float32")])
    return model


def test_the_curves_follow_the_map_pixel_by_pixel():
    images = np.zeros((1, 4, 4, 1), "float32")
    images[0, 0] = 1  # the four pixels that matter
    good, bad = np.zeros((1, 4, 4)), np.zeros((1, 4, 4))
    good[0, 0], bad[0, 1:] = 1, 1
    found = deletion_insertion(brightness(), images, good, classes=0, steps=4, baseline=0.0)
    np.testing.assert_allclose(found.deletion, [[0.25, 0, 0, 0, 0]], atol=1e-6)
    np.testing.assert_allclose(found.insertion, [[0, 0.25, 0.25, 0.25, 0.25]], atol=1e-6)
    other = deletion_insertion(brightness(), images, bad, classes=0, steps=4, baseline=0.0)
    np.testing.assert_allclose(other.deletion, [[0.25, 0.25, 0.25, 0.25, 0]], atol=1e-6)
    assert found.deletion_area < other.deletion_area and found.insertion_area > other.insertion_area
    np.testing.assert_allclose(found.deletion_area, [0.25 / 8], atol=1e-6)


def test_a_blurred_image_is_where_nothing_can_be_seen():
    images = np.indices((4, 4)).sum(0)[None, :, :, None] % 2 * np.ones((2, 1, 1, 1), "float32")
    found = deletion_insertion(brightness(), images, np.zeros((2, 4, 4)), steps=2)
    np.testing.assert_allclose(found.deletion[:, -1], found.insertion[:, 0], atol=1e-6)
    np.testing.assert_allclose(found.deletion[:, -1], 0.5, atol=0.05)


def test_deletion_and_insertion_have_baselines_of_their_own_as_in_rise():
    images, ends = np.zeros((1, 4, 4, 1), "float32"), {"deletion_baseline": 0.25, "insertion_baseline": (0.75,)}
    found = deletion_insertion(brightness(), images, images[..., 0], classes=0, steps=1, **ends)
    np.testing.assert_allclose([found.deletion[0, -1], found.insertion[0, 0]], [0.25, 0.75], atol=1e-6)
    point, image = np.zeros((11, 11)), np.zeros((1, 31, 31, 1), "float32")
    point[5, 5] = image[0, 15, 15] = 100.0
    kernel = gaussian_filter(point, 5)  # the authors' gkern(11, 5)
    np.testing.assert_allclose(baseline_images(image, "rise")[0, 10:21, 10:21, 0], kernel, rtol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"maps": np.zeros((1, 4, 5))}, "one of the image's size"),
        ({"maps": np.full((1, 4, 4), np.nan)}, "must be finite"),
        ({"steps": 0}, "steps must be"),
        ({"baseline": "grey"}, "baseline must be"),
        ({"classes": 2}, "classes must be 0 to 1"),
    ],
)
def test_bad_arguments_are_named(changes, message):
    arguments = {"images": np.zeros((1, 4, 4, 1)), "maps": np.zeros((1, 4, 4)), **changes}
    with pytest.raises(ValueError, match=message):
        deletion_insertion(brightness(), **arguments)


def test_the_pointing_game_counts_hits():
    maps = np.zeros((4, 6, 8))
    maps[0, 2, 3] = maps[1, 2, 3] = maps[2, 5, 7] = 1  # the fourth has no highest point
    boxes = [(2, 3, 3, 4), (0, 0, 2, 3), [(0, 0, 1, 1), (5, 7, 6, 8)], (0, 0, 6, 8)]
    assert pointing_game(maps, boxes) == 0.5
    assert pointing_game(maps, boxes, tolerance=1) == 0.75
    masks = maps > 0
    assert pointing_game(maps[:3], masks[:3]) == 1
    assert pointing_game(maps[:3], np.roll(masks, 1, axis=2)[:3]) == 0
    assert pointing_game(maps[:1], np.zeros((1, 6, 8), bool)) == 0
    with pytest.raises(ValueError, match="boxes of 1 images"):
        pointing_game(maps, boxes[:1])
