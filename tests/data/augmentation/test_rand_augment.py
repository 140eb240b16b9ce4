import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from kattn.data.augmentation.rand_augment import OPERATIONS, rand_augment


def noise(count=6, size=12, channels=3):
    return np.random.default_rng(0).integers(0, 256, (count, size, size, channels), dtype="uint8")


@hypothesis.settings(max_examples=20, deadline=None)
@hypothesis.given(
    operations=st.integers(1, 4), magnitude=st.floats(0, 10), seed=st.integers(0, 99), channels=st.sampled_from([1, 3])
)
def test_images_keep_their_form_and_the_same_seed_gives_the_same(operations, magnitude, seed, channels):
    images = noise(channels=channels)
    one, again = (rand_augment(images, np.random.default_rng(seed), operations, magnitude) for _ in range(2))
    assert one.shape == images.shape
    assert one.dtype == images.dtype
    assert np.array_equal(one, again)
    assert np.array_equal(images, noise(channels=channels))


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_changes_an_image_when_strong(name):
    from PIL import Image

    image = Image.fromarray(noise(1, size=32)[0] // 2 + 20)
    changed = np.asarray(OPERATIONS[name](image, 1.0, 1.0))
    assert (changed != np.asarray(image)).any() == (name != "identity")


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name not in ("auto contrast", "equalize")])
def test_strength_zero_changes_nothing(name):
    from PIL import Image

    pixels = noise(1)[0]
    pixels[0, 0] = 0
    changed = np.asarray(OPERATIONS[name](Image.fromarray(np.minimum(pixels, 254)), 0.0, -1.0))
    assert np.array_equal(changed, np.minimum(pixels, 254))


def test_operations_are_done_with_the_probability_asked_for():
    images = noise(400, size=4)
    changed = rand_augment(images, np.random.default_rng(0), 1, 10.0, probability=0.5)
    untouched = sum(np.array_equal(a, b) for a, b in zip(images, changed, strict=True))
    assert 190 < untouched < 260  # half of them, and a share of those drawn that change so small an image little


def test_other_channels_are_an_error():
    with pytest.raises(ValueError, match="Received: 5 channels; use rand_operations=0"):
        rand_augment(noise(channels=5), np.random.default_rng(0), 1, 9)
