import numpy as np
import pytest
from support.training import arrays, numbers

from kattn.data.augmentation.augment import Augment, Mix
from kattn.data.batches import Batches
from kattn.data.dataset import Split


def batches(count=50, size=8, **options):
    return Batches(Split(*arrays(count)), size, training=True, **options)


def epoch(data, number):
    data.epoch = number
    return [data[i] for i in range(len(data))]


def test_every_image_comes_once_an_epoch_but_for_what_does_not_fill_a_batch():
    seen = np.concatenate([numbers(images) for images, _ in epoch(batches(), 0)])
    assert len(seen) == len(set(seen)) == 48


def test_images_left_out_are_others_in_the_next_epoch():
    data = batches(50, 49)
    assert set(numbers(epoch(data, 0)[0][0])) != set(numbers(epoch(data, 1)[0][0]))


def test_batches_are_a_function_of_seed_epoch_and_number():
    data, again, other = batches(seed=3), batches(seed=3), batches(seed=4)
    one = epoch(data, 2)
    epoch(again, 7)
    again.epoch = 2
    assert np.array_equal(again[4][0], one[4][0])
    assert np.array_equal(again[4][1], one[4][1])
    assert not np.array_equal(epoch(other, 2)[4][0], one[4][0])
    assert not np.array_equal(epoch(data, 3)[4][0], one[4][0])


def test_labels_stay_with_their_images():
    images, labels = arrays(50)
    for x, y in epoch(batches(), 1):
        assert np.array_equal(images[numbers(x)], x)
        assert np.array_equal(labels[numbers(x)], y)


def test_evaluation_batches_hold_every_image_in_order_untouched():
    data = Batches(Split(*arrays(50)), 8, augment=Augment(shift=0.5, flip=True))
    assert [len(data[i][1]) for i in range(len(data))] == [8] * 6 + [2]
    assert np.array_equal(np.concatenate([data[i][0] for i in range(7)]), arrays(50)[0])


def test_targets_are_handed_to_every_output():
    data = batches(targets=lambda labels: {"a": labels, "b": labels})
    _, targets = data[0]
    assert np.array_equal(targets["a"], targets["b"])


def test_smoothed_targets_keep_their_sum():
    _, targets = batches(classes=3, smoothing=0.3)[0]
    np.testing.assert_allclose(np.sort(targets, axis=1), np.tile([0.1, 0.1, 0.8], (8, 1)), atol=1e-6)


def test_fewer_images_than_a_batch_are_one_batch():
    assert [len(y) for _, y in epoch(batches(5, 8), 0)] == [5]


@pytest.mark.parametrize(
    ("options", "message"),
    [({"count": 0}, "without images"), ({"size": 0}, "at least 1"), ({"smoothing": 0.1}, "pass classes")],
)
def test_what_cannot_be_batched_is_an_error(options, message):
    with pytest.raises(ValueError, match=message):
        batches(**options)


def test_shift_moves_every_image_for_itself_by_whole_pixels_and_fills_with_black():
    images = np.full((200, 8, 8, 1), 9, "uint8")
    moved = Augment(shift=0.125)(images, np.random.default_rng(0))
    found = {(tuple(image[:, 4, 0] > 0), tuple(image[4, :, 0] > 0)) for image in moved}
    assert len(found) == 9
    assert all(sum(rows) >= 7 and sum(columns) >= 7 for rows, columns in found)
    assert set(np.unique(moved)) == {0, 9}


def test_an_image_that_is_not_moved_is_found_unchanged():
    images = arrays(100)[0]
    moved = Augment(shift=0.125)(images, np.random.default_rng(0))
    same = [np.array_equal(a, b) for a, b in zip(images, moved, strict=True)]
    assert 2 <= sum(same) <= 30


def test_a_crop_is_a_window_of_the_image_scaled_back():
    rows, columns = np.mgrid[0:32, 0:48]
    image = np.stack([rows * 5, columns * 5, 0 * rows], axis=-1).astype("uint8")
    images = Augment(crop=0.25)(np.repeat(image[None], 200, axis=0), np.random.default_rng(0))
    assert images.shape == (200, 32, 48, 3)
    heights = (images[:, -1, :, 0].mean(axis=1).astype(float) - images[:, 0, :, 0].mean(axis=1)) / 5 + 1
    widths = (images[:, :, -1, 1].mean(axis=1).astype(float) - images[:, :, 0, 1].mean(axis=1)) / 5 + 1
    areas = heights * widths / (32 * 48)
    assert 0.2 < areas.min() < 0.35 and 0.8 < areas.max() < 0.92  # at most 32x43 of 32x48; half a pixel at each side
    assert 0.7 < (widths / heights)[areas < 0.5].min() < 0.8 and 1.25 < (widths / heights)[areas < 0.5].max() < 1.4
    assert len({image.tobytes() for image in images}) > 150  # large ones of so small an image coincide


@pytest.mark.parametrize("channels", [1, 3])
def test_a_crop_keeps_the_form_and_a_whole_crop_the_image(channels):
    images, _ = arrays(5, size=9, channels=channels)
    assert Augment(crop=0.08)(images, np.random.default_rng(0)).shape == images.shape
    square = Augment(crop=1.0)(images, np.random.default_rng(0))
    assert square.shape == images.shape and square.dtype == np.uint8


def test_flip_mirrors_about_half_of_the_images():
    images = arrays(400)[0]
    flipped = Augment(flip=True)(images, np.random.default_rng(0))
    mirrored = [np.array_equal(a[:, ::-1], b) for a, b in zip(images, flipped, strict=True)]
    kept = [np.array_equal(a, b) for a, b in zip(images, flipped, strict=True)]
    assert 150 < sum(mirrored) < 250
    assert sum(mirrored) + sum(kept) == 400


def test_erasing_leaves_most_of_most_images():
    images = np.zeros((400, 16, 16, 3), "uint8")
    changed = (Augment(erase=0.5)(images, np.random.default_rng(0)) > 0).any(axis=3).mean(axis=(1, 2))
    assert 150 < (changed > 0).sum() < 250
    assert changed.max() < 0.4
    assert not images.any()


@pytest.mark.parametrize("mix", [Mix(mixup=0.4), Mix(cutmix=1.0), Mix(mixup=0.4, cutmix=1.0)])
def test_mixed_targets_say_how_much_of_each_image_is_there(mix):
    labels = np.arange(64) % 4
    images = np.zeros((64, 8, 8, 4), "uint8")
    images[np.arange(64), :, :, labels] = 200
    for seed in range(6):
        mixed, targets = mix(images, np.eye(4, dtype="float32")[labels], np.random.default_rng(seed))
        np.testing.assert_allclose(mixed.mean(axis=(1, 2)) / 200, targets, atol=0.005)
        assert targets.dtype == np.float32
    assert mix


def test_nothing_is_mixed_by_default():
    assert not Mix()


def test_the_shares_of_several_processes_make_the_batch_of_one():
    options = {"augment": Augment(shift=0.125, flip=True), "seed": 3, "devices": 2}
    whole, parts = batches(size=8, **options), [batches(size=8, part=(rank, 2), **options) for rank in range(2)]
    for i, (images, labels) in enumerate(epoch(whole, 1)):
        shares = [epoch(part, 1)[i] for part in parts]
        assert np.array_equal(np.concatenate([share[0] for share in shares]), images)
        assert np.array_equal(np.concatenate([share[1] for share in shares]), labels)


def test_every_batch_can_be_shared_by_the_devices():
    data = Batches(Split(*arrays(47)), 8, devices=4)
    assert [len(data[i][1]) for i in range(len(data))] == [8, 8, 8, 8, 8, 4]
    assert batches(7, 8, devices=4).batch_size == 4
    with pytest.raises(ValueError, match="3 images cannot be shared by 4 devices"):
        Batches(Split(*arrays(3)), 8, devices=4)
