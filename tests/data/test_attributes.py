"""Images with several attributes, and classes of two levels."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from kattn.data.augmentation.augment import Mix
from kattn.data.batches import Batches
from kattn.data.dataset import Split
from kattn.data.errors import DataError
from kattn.data.loading import load


def attributes(count=60, seed=0):
    """Images whose top and bottom halves are bright or dark, each for itself; third attribute: both are bright."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, (count, 2))
    images = rng.integers(0, 60, (count, 8, 8, 3))
    images[:, :4] += 150 * labels[:, 0, None, None, None]
    images[:, 4:] += 150 * labels[:, 1, None, None, None]
    return images.astype("uint8"), np.column_stack([labels, labels.all(axis=1)])


def test_rows_of_zeros_and_ones_are_attributes():
    data = load(attributes())
    assert data.multi_label
    assert data.train.labels.dtype == np.uint8
    assert data.class_names == ("0", "1", "2")
    assert [len(part) for part in data.parts()] == [43, 5, 12]
    assert len(load(attributes(), limit=4).train) == 4


def test_boolean_rows_too():
    images, labels = attributes()
    assert np.array_equal(load((images, labels.astype(bool)), validation=0).test.labels.shape, (12, 3))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.eye(3, dtype=int)[np.arange(60) % 3], "one-hot rows. Pass class numbers"),
        (np.full((60, 3), 2), "rows of 0 and 1"),
        (np.full((60, 3), 0.5), "rows of 0 and 1"),
    ],
)
def test_other_tables_are_an_error(labels, message):
    with pytest.raises(DataError, match=message):
        load((attributes()[0], labels))


def test_a_model_of_another_number_of_outputs_is_an_error():
    with pytest.raises(DataError, match="3 attributes an image, the model has 5 outputs"):
        load(attributes(), classes=5)


def test_batches_smooth_each_attribute_towards_one_half_and_mix():
    images, labels = attributes(16)
    data = Batches(Split(images, labels.astype("uint8")), 16, training=True, smoothing=0.2, mix=Mix(mixup=1.0))
    _, targets = data[0]
    assert targets.dtype == np.float32
    assert targets.min() >= np.float32(0.1)
    assert targets.max() <= np.float32(0.9)
    plain = Batches(Split(images, labels.astype("uint8")), 16)
    assert np.array_equal(plain[0][1], labels)


def test_folders_of_two_levels_give_names_of_two_levels(tmp_path):
    names = ["audi/a4", "audi/tt", "bmw/x5"]
    for name in names:
        folder = tmp_path / name
        folder.mkdir(parents=True)
        for i in range(3):
            Image.fromarray(np.full((8, 8, 3), 40 * i, "uint8")).save(folder / f"{i}.png")
    data = load(tmp_path, validation=0)
    assert data.class_names == tuple(names)
    assert sum(len(part) for part in data.parts()) == 9


@pytest.mark.slow
def test_attributes_written_by_tensorflow_datasets_are_read(tmp_path):
    script = """
import sys, numpy as np, tensorflow as tf, tensorflow_datasets as tfds
from kattn.data import load
root = sys.argv[1]
rng = np.random.default_rng(0)
names = ["Young", "Bald", "5_o_Clock_Shadow"]
rows = [{"image": rng.integers(0, 256, (8, 8, 3), dtype="uint8"),
         "attributes": {name: bool(rng.integers(2)) for name in names}} for _ in range(30)]
tfds.dataset_builders.store_as_tfds_dataset(
    name="faces", version="1.0.0", data_dir=root, split_datasets={"train": list(enumerate(rows))},
    features=tfds.features.FeaturesDict(
        {"image": tfds.features.Image(shape=(8, 8, 3)), "attributes": {name: np.bool_ for name in names}}))
data = load("faces", data_dir=root, validation=0)
assert data.class_names == ("5_o_Clock_Shadow", "Bald", "Young"), data.class_names
theirs = list(tfds.load("faces", split="train", data_dir=root).as_numpy_iterator())
mine = {image.tobytes(): row for part in data.parts() for image, row in zip(part.images, part.labels)}
assert len(mine) == 30
for each in theirs:
    assert mine[each["image"].tobytes()].tolist() == [int(each["attributes"][name]) for name in data.class_names]
"""
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
