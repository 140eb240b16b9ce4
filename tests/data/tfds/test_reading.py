"""TFDS data sets, prepared here in their own layout (support/tfds_files)."""

import json
import subprocess
import sys

import numpy as np
import pytest
from support.tfds_files import example, png, prepare, record
from support.training import arrays

from kattn.data.errors import DataError
from kattn.data.loading import load


def test_a_prepared_data_set_is_read_in_order_over_all_its_files(tmp_path):
    (train, y), (test, z) = arrays(30), arrays(7, seed=1)
    prepare(tmp_path, train=(train, y), test=(test, z))
    data = load("shapes", data_dir=tmp_path, validation=0)
    assert np.array_equal(data.train.images, train)
    assert np.array_equal(data.train.labels, y)
    assert np.array_equal(data.test.images, test)
    assert data.class_names == ("round", "square", "other")
    assert data.describe()["version"] == "1.0.0"


def test_the_folder_may_come_from_the_environment_and_the_version_from_the_name(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    for version, count in (("1.9.0", 12), ("1.10.0", 24)):
        prepare(tmp_path, version=version, train=arrays(count))
    assert sum(len(part) for part in load("shapes").parts()) == 24
    assert sum(len(part) for part in load("shapes:1.9.0").parts()) == 12


def test_only_the_test_files_are_opened_when_only_they_are_wanted(tmp_path):
    folder = prepare(tmp_path, shards=1, train=arrays(30), test=arrays(7))
    (folder / "shapes-train.tfrecord-00000-of-00001").unlink()
    assert len(load("shapes", data_dir=tmp_path, splits=("test",)).test) == 7


def test_a_test_part_without_labels_is_not_used(tmp_path):
    images, labels = arrays(30)
    prepare(
        tmp_path, train=(images, labels), validation=(images[:6], labels[:6]), test=(images[:6], labels[:6] * 0 - 1)
    )
    data = load("shapes", data_dir=tmp_path)
    assert np.array_equal(data.test.images, images[:6])
    assert len(data.train) + len(data.validation) == 30


def test_grey_images_keep_their_one_channel_and_may_be_shown_as_rgb(tmp_path):
    prepare(tmp_path, name="mnist", train=arrays(12, channels=1))
    (tmp_path / "mnist" / "1.0.0" / "label.labels.txt").unlink()
    data = load("mnist", data_dir=tmp_path)
    assert data.image_shape == (8, 8, 1)
    assert data.class_names == ("0", "1", "2")
    assert not data.mirror
    assert load("mnist", data_dir=tmp_path, channels=3, image_size=32).image_shape == (32, 32, 3)


def test_a_file_that_breaks_off_is_an_error(tmp_path):
    folder = prepare(tmp_path, shards=1, train=arrays(12))
    file = next(folder.glob("*tfrecord-*"))
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(DataError, match="breaks off in the middle of a record"):
        load("shapes", data_dir=tmp_path)
    file.unlink()
    with pytest.raises(DataError, match="cannot be read"):
        load("shapes", data_dir=tmp_path)


def test_of_a_file_that_breaks_off_what_comes_before_may_be_used(tmp_path, caplog):
    folder = prepare(tmp_path, shards=2, train=arrays(12))
    first = min(folder.glob("*tfrecord-*"))
    first.write_bytes(first.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"breaks off.*on_error='skip' goes on with the next file"):
        load("shapes", data_dir=tmp_path)
    assert sum(len(part) for part in load("shapes", data_dir=tmp_path, on_error="skip").parts()) == 11
    assert "what comes after image 5 left out" in caplog.text


def test_grey_images_among_coloured_ones_stop_or_are_left_out_or_are_what_the_data_set_says(tmp_path, caplog):
    folder = prepare(tmp_path, shards=1, train=arrays(12))
    file = next(folder.glob("*tfrecord-*"))
    grey = png(arrays(3, channels=1)[0][0])
    file.write_bytes(file.read_bytes() + record(example(image=grey, label=1)))
    with pytest.raises(DataError, match=r"12 images of 3 channels and 1 images of 1 channels.*on_error='skip'"):
        load("shapes", data_dir=tmp_path)
    assert sum(len(part) for part in load("shapes", data_dir=tmp_path, on_error="skip").parts()) == 12
    assert "only those of 3 channels are kept" in caplog.text
    features = json.loads((folder / "features.json").read_text())
    features["featuresDict"]["features"]["image"] = {"image": {"shape": {"dimensions": ["-1", "-1", "3"]}}}
    (folder / "features.json").write_text(json.dumps(features))
    assert sum(len(part) for part in load("shapes", data_dir=tmp_path).parts()) == 13


def test_only_what_may_be_the_test_is_opened_when_only_that_is_wanted(tmp_path):
    images, labels = arrays(30)
    folder = prepare(tmp_path, shards=1, train=(images, labels), validation=(images[:6], labels[:6]))
    (folder / "shapes-train.tfrecord-00000-of-00001").unlink()
    assert len(load("shapes", data_dir=tmp_path, splits=("test",)).test) == 6


def test_an_unreadable_image_stops_or_is_left_out(tmp_path, caplog):
    folder = prepare(tmp_path, shards=1, train=arrays(12))
    file = next(folder.glob("*tfrecord-*"))
    file.write_bytes(file.read_bytes() + record(example(image=b"no image", label=1)))
    with pytest.raises(DataError, match=r"shapes \(train\): image 12 is no readable.*1 such images; on_error='skip'"):
        load("shapes", data_dir=tmp_path)
    assert sum(len(part) for part in load("shapes", data_dir=tmp_path, on_error="skip").parts()) == 12
    assert "shapes (train): 1 of 13 images left out" in caplog.text


@pytest.mark.slow
def test_tensorflow_datasets_reads_the_same(tmp_path):
    """The other way round: a data set written by tensorflow-datasets, read by it and by kattn."""
    script = """
import sys, numpy as np, tensorflow_datasets as tfds
from kattn.data import load
root = sys.argv[1]
rng = np.random.default_rng(0)
rows = [{"image": rng.integers(0, 256, (8, 8, 3), dtype="uint8"), "label": i % 3} for i in range(50)]
tfds.dataset_builders.store_as_tfds_dataset(
    name="shapes", version="1.0.0", data_dir=root, split_datasets={"train": list(enumerate(rows))},
    features=tfds.features.FeaturesDict(
        {"image": tfds.features.Image(shape=(8, 8, 3)), "label": tfds.features.ClassLabel(num_classes=3)}))
theirs = list(tfds.load("shapes", split="train", data_dir=root).as_numpy_iterator())
data = load("shapes", data_dir=root, validation=0)
ours = [part.images for part in data.parts()]
assert sum(map(len, ours)) == 50
mine = {image.tobytes(): label for part in data.parts() for image, label in zip(part.images, part.labels)}
assert all(mine[each["image"].tobytes()] == each["label"] for each in theirs)
"""
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, capture_output=True)
