"""TFRecord files, read without TensorFlow."""

import pytest
from support.tfds_files import example, prepare, record
from support.training import arrays

from kattn.data.errors import DataError
from kattn.data.loading import load
from kattn.data.tfds.records import example_at, locate


def test_records_hold_bytes_floats_and_signed_integers_packed_or_not(tmp_path):
    file = tmp_path / "records"
    file.write_bytes(record(example(a=b"x", b=-3, c=0.5)) + record(example(packed=False, b=-(2**40))))
    assert [found for _, _, found in locate(file, "abc")] == [{"a": [b"x"], "b": [-3], "c": [0.5]}, {"b": [-(2**40)]}]


def test_only_the_features_asked_for_are_read_there_and_then_or_later(tmp_path):
    file = tmp_path / "records"
    file.write_bytes(b"".join(record(example(image=b"pixels %d" % i, label=i)) for i in range(5)))
    found = list(locate(file, ["label"]))
    assert [one for _, _, one in found] == [{"label": [i]} for i in range(5)]
    assert [example_at(file, start, length, ["image"]) for start, length, _ in found] == [
        {"image": [b"pixels %d" % i]} for i in range(5)
    ]
    file.write_bytes(b"")
    assert list(locate(file, ["label"])) == []


def test_records_that_are_no_examples_are_an_error(tmp_path):
    file = tmp_path / "records"
    file.write_bytes(record(b"\x0f\xff\xff"))
    with pytest.raises(DataError, match=r"no tf\.train\.Example"):
        list(locate(file, ["label"]))


@pytest.mark.parametrize("damage", [lambda data: data[:-30], lambda data: data + b"123", lambda data: b"\xff" * 40])
def test_a_file_of_records_that_breaks_off_is_an_error(tmp_path, damage):
    images, labels = arrays(30)
    folder = prepare(tmp_path, train=(images, labels % 3))
    file = folder / "shapes-train.tfrecord-00000-of-00002"
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(DataError, match="breaks off"):
        load("shapes", data_dir=tmp_path, cache=False)
    skipped = load("shapes", data_dir=tmp_path, cache=False, on_error="skip")
    assert 10 < sum(map(len, skipped.parts())) <= 30


def test_a_record_without_image_or_label_is_named(tmp_path):
    folder = prepare(tmp_path, shards=1, train=arrays(12))
    file = next(folder.glob("*tfrecord-*"))
    whole = file.read_bytes()
    file.write_bytes(whole + record(example(label=1)))
    with pytest.raises(DataError, match=r"tfrecord-00000-of-00001 holds a record without one value of 'image'"):
        load("shapes", data_dir=tmp_path)
    assert sum(map(len, load("shapes", data_dir=tmp_path, on_error="skip").parts())) == 12
    file.write_bytes(whole + record(example(image=b"")))
    with pytest.raises(DataError, match="without one value of 'label'"):
        load("shapes", data_dir=tmp_path)
