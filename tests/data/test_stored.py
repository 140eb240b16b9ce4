"""Images that stay on disk are the same images."""

import time

import keras
import numpy as np
import pytest
from PIL import Image
from support.tfds_files import prepare
from support.training import EAGER, arrays, image_folder, tiny_model

import kattn
from kattn.data import memory as data_memory
from kattn.data.augmentation.augment import Augment
from kattn.data.batches import Batches
from kattn.data.dataset import SPLITS
from kattn.data.errors import DataError
from kattn.data.loading import load
from kattn.data.stored import AHEAD, StoredImages, in_threads


@pytest.fixture(params=["folder", "tfds"])
def source(request, tmp_path):
    """What to pass to `load` for 40 images of 8x8 of three classes."""
    images, labels = arrays(40)
    labels = labels % 3
    if request.param == "tfds":
        prepare(tmp_path, train=(images, labels))
        return {"data": "shapes", "data_dir": tmp_path}
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        path = tmp_path / "classes" / "abc"[label] / f"{i:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    return {"data": tmp_path / "classes"}


def everything(data):
    return np.concatenate([split.images[:] for split in data.parts()])


@pytest.mark.parametrize("options", [{}, {"image_size": 12}, {"channels": 3}, {"limit": 9}, {"on_error": "skip"}])
def test_they_are_those_that_are_kept_in_memory(source, options):
    kept, left = (load(**source, **options, cache=cache) for cache in (True, False))
    for split in SPLITS:
        one, other = getattr(kept, split), getattr(left, split)
        assert isinstance(other.images, StoredImages) and not isinstance(one.images, StoredImages)
        np.testing.assert_array_equal(one.images, other.images[:])
        np.testing.assert_array_equal(one.labels, other.labels)
    assert kept.describe() == left.describe()


def test_a_folder_is_read_as_grey_images_where_the_model_takes_those(tmp_path):
    for i in range(12):
        path = tmp_path / "ab"[i % 2] / f"{i:02d}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(arrays(1, seed=i)[0][0]).save(path)
    kept, left = (load(tmp_path, channels=1, cache=cache) for cache in (True, False))
    assert left.image_shape == (8, 8, 1)
    np.testing.assert_array_equal(everything(kept), everything(left))


def test_grey_records_may_be_shown_as_rgb(tmp_path):
    images, labels = arrays(30, channels=1)
    prepare(tmp_path, train=(images, labels % 3))
    kept, left = (load("shapes", data_dir=tmp_path, channels=3, cache=cache) for cache in (True, False))
    assert left.image_shape == (8, 8, 3)
    np.testing.assert_array_equal(everything(kept), everything(left))


def test_they_are_indexed_like_an_array(source):
    kept, left = (load(**source, cache=cache).train.images for cache in (True, False))
    assert left.shape == kept.shape and left.dtype == kept.dtype and len(left) == len(kept)
    for key in (3, -1, slice(2, 20, 5), np.array([7, 0, 7]), np.arange(len(kept)) % 2 == 0, slice(0, 0)):
        np.testing.assert_array_equal(left[key], kept[key])
    np.testing.assert_array_equal(np.asarray(left, "float32"), kept.astype("float32"))
    np.testing.assert_array_equal(left.subset(slice(4, 9))[np.array([1])], kept[5:6])


@pytest.mark.parametrize(("memory", "stored"), [(40 * 8 * 8 * 3 * 4, False), (40 * 8 * 8 * 3 * 4 - 4, True)])
def test_by_default_what_takes_more_than_a_quarter_of_the_memory_stays_on_disk(source, memory, stored, monkeypatch):
    monkeypatch.setattr(data_memory, "machine_memory", lambda: memory)
    assert isinstance(load(**source, image_size=8).train.images, StoredImages) == stored


def test_their_batches_are_those_of_the_same_images_in_memory(source):
    augment = Augment(shift=0.125, flip=True)
    kept, left = (
        Batches(load(**source, cache=cache).train, 8, training=True, augment=augment) for cache in (True, False)
    )
    for epoch in (0, 3):
        kept.epoch = left.epoch = epoch
        for i in range(len(kept)):
            for one, other in zip(kept[i], left[i], strict=True):
                np.testing.assert_array_equal(one, other)


def test_a_run_over_them_is_the_run_over_the_same_images_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(keras.Model, "run_eagerly", EAGER)
    data = image_folder(tmp_path / "classes")
    results = []
    for cache in (True, False):
        keras.utils.set_random_seed(0)  # of the weights and of dropout
        options = {"data": data, "cache": cache, "overrides": {"epochs": 1}, "verbose": False}
        run = kattn.train(tiny_model(classes=3), out=tmp_path / str(cache), **options)
        evaluation = kattn.evaluate(run.path, cache=cache)
        results.append((run.history, evaluation.to_dict() | {"model": ""}))
    assert results[0] == results[1]


def test_a_file_that_cannot_be_read_shows_when_it_comes_up_or_is_left_out_beforehand(tmp_path, caplog):
    for i in range(12):
        path = tmp_path / "ab"[i % 2] / f"{i:02d}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((8, 8, 3), i, "uint8")).save(path)
    (tmp_path / "a" / "04.png").write_bytes(b"no picture")
    data = load(tmp_path, cache=False, validation=0)
    with pytest.raises(DataError, match=r"04\.png is no readable image.*skip"):
        everything(data)
    data = load(tmp_path, cache=False, validation=0, on_error="skip")
    assert "1 of 12 images left out" in caplog.text
    assert sorted(everything(data)[:, 0, 0, 0]) == [*range(4), *range(5, 12)]
    for path in (tmp_path / "a").iterdir():
        path.write_bytes(b"no picture")
    with pytest.raises(DataError, match="a holds no readable image"):
        load(tmp_path, cache=False, on_error="skip")


def test_images_of_several_sizes_need_a_size(tmp_path):
    for i in range(12):
        path = tmp_path / "ab"[i % 2] / f"{i:02d}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.zeros((8 + (i == 7), 8, 3), "uint8")).save(path)
    with pytest.raises(DataError, match=r"image_size"):
        everything(load(tmp_path, cache=False))
    assert load(tmp_path, cache=False, image_size=8).train.images[:].shape[1:] == (8, 8, 3)


def test_work_ahead_ends_where_the_caller_stops():
    done = []
    ahead = in_threads(done.append, range(10**9))
    next(ahead)
    ahead.close()
    time.sleep(0.05)
    count = len(done)
    time.sleep(0.05)
    assert len(done) == count <= 2 * AHEAD
