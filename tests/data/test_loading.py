import numpy as np
import pytest
from support.image_files import write_folder
from support.training import arrays

from kattn.data.errors import DataError
from kattn.data.loading import load, source_names, spec_of


def test_digits_are_scikit_learns_images_in_raw_pixels():
    from sklearn.datasets import load_digits

    data = load("digits", image_size=8)
    assert data.image_shape == (8, 8, 3)
    assert len(data.train) + len(data.validation) + len(data.test) == 1797
    known = {
        np.rint(image * 255 / 16).astype("uint8").tobytes(): label
        for image, label in zip(*_both(load_digits()), strict=True)
    }
    for part in data.parts():
        assert part.images.dtype == np.uint8
        assert all(
            known[image[..., 0].tobytes()] == label for image, label in zip(part.images, part.labels, strict=True)
        )
    assert np.array_equal(data.test.images[..., 0], data.test.images[..., 2])


def _both(bunch):
    return bunch.images, bunch.target


def test_digits_are_shown_at_16_pixels_and_are_not_mirrored():
    data = load("digits")
    assert data.image_shape == (16, 16, 3)
    assert not data.mirror
    assert data.class_names == tuple("0123456789")


def test_a_column_of_labels_and_wider_integers_are_understood():
    images, labels = arrays(30)
    data = load((images.astype("int64"), labels[:, None].astype("uint8")))
    assert data.train.images.dtype == np.uint8
    assert data.train.labels.dtype == np.int32


def test_grey_images_without_a_channel_axis_get_one():
    images, labels = arrays(30, channels=1)
    assert load((images[..., 0], labels)).image_shape == (8, 8, 1)
    assert load((images, labels), channels=3).image_shape == (8, 8, 3)


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda x, y: (x[:0], y[:0]), {}, "is empty"),
        (lambda x, y: (x, y[:-1]), {}, "60 images but 59 labels"),
        (lambda x, y: (x, y - 1), {}, "label -1 of image 0 is out of range"),
        (lambda x, y: (x, y), {"classes": 2}, "out of range, labels are 0 to 1"),
        (lambda x, y: (x / 255, y), {}, r"uint8 0-255.*Received: float64, 0 to"),
        (lambda x, y: (x.astype("int32") * 2, y), {}, r"uint8 0-255.*Received: int32"),
        (lambda x, y: (x, np.eye(3)[y]), {}, r"argmax\(axis=1\)"),
        (lambda x, y: (x[:, 0, 0], y), {}, r"images are \(images, height, width, channels\)"),
        (lambda x, y: (x[..., :2], y), {}, "1, 3 or 4 channels"),
        (lambda x, y: (x, y), {"channels": 1}, "has images of 3 channels, the model takes 1"),
        (lambda x, y: (x, y), {"image_size": 32}, "has images of 8x8, the model takes 32x32"),
        (lambda x, y: (x, y, y), {}, "two"),
        (lambda x, y: {"training": (x, y)}, {}, "Splits are called train, validation, test. Received: 'training'"),
        (lambda x, y: ((x, y), (x[:, 1:], y)), {}, r"different shapes: \[\(7, 8, 3\), \(8, 8, 3\)\]"),
        (lambda x, y: (x, y), {"image_size": 0}, r"height and width, each 1 to 16384\. Received: \(0, 0\)"),
        (lambda x, y: (x, y), {"limit": 0}, "limit is a number of images"),
        (lambda x, y: (x, y), {"validation": 1.0}, "validation is a share"),
        (lambda x, y: (x, y), {"on_error": "ignore"}, "on_error must be"),
        (lambda x, y: 3, {}, "Received: 3"),
        (lambda x, y: "no such data", {}, "'no such data' is neither a folder nor a TFDS name"),
    ],
)
def test_what_cannot_be_used_is_one_clear_error(change, options, message):
    with pytest.raises(DataError, match=message):
        load(change(*arrays(60)), **options)


def test_one_source_is_trained_on_and_another_of_the_same_classes_tested_on(tmp_path, caplog):
    write_folder(tmp_path / "art", count=10)
    write_folder(tmp_path / "clip", count=6)
    data = load({"train": str(tmp_path / "art"), "test": tmp_path / "clip"})
    assert [len(part) for part in data.parts()] == [17, 3, 12]
    assert data.class_names == ("ant", "bee")
    text = load(f"{tmp_path / 'art'}:{tmp_path / 'clip'}")
    assert text.describe() == data.describe()
    write_folder(tmp_path / "photo", classes=("bat", "bee"), count=4)
    with pytest.raises(DataError, match="differ in their classes: ant, bat"):
        load({"train": tmp_path / "art", "test": tmp_path / "photo"})
    data = load(
        {"train": tmp_path / "clip", "validation": tmp_path / "art", "test": tmp_path / "photo"}, on_error="skip"
    )
    assert [len(part) for part in data.parts()] == [6, 10, 4]
    assert data.class_names == ("bee",)
    assert "2 classes that not every source has left out: ant, bat" in caplog.text


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("cifar10", ["cifar10"]),
        ("mnist:3.0.1", ["mnist:3.0.1"]),
        ("mnist:3.0.1:svhn_cropped/x:3.1.0", ["mnist:3.0.1", "svhn_cropped/x:3.1.0"]),
        ("office/Art:office/Clipart", ["office/Art", "office/Clipart"]),
    ],
)
def test_a_colon_stands_between_sources_and_before_a_version(text, names):
    assert source_names(text) == names


def test_the_text_of_the_data_names_folders_by_their_absolute_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("art", "clip"):
        (tmp_path / name).mkdir()
    for data, text in (
        ("digits", "digits"),
        ("office/Art:mnist:3.0.1", "office/Art:mnist:3.0.1"),
        ("art", f"{tmp_path}/art"),
        (tmp_path / "clip" / ".." / "art", f"{tmp_path}/art"),
        ({"train": "art", "test": "mnist"}, f"{tmp_path}/art:mnist"),
        (arrays(3), None),
    ):
        assert spec_of(data) == text
