"""Folders of classes, and folders of parts, as `load` reads them."""

import numpy as np
import pytest
from PIL import Image
from support.image_files import write_folder

from kattn.data.errors import DataError
from kattn.data.loading import load


def test_a_folder_of_classes_is_read_in_alphabetical_order(tmp_path):
    write_folder(tmp_path)
    data = load(str(tmp_path))
    assert data.class_names == ("ant", "bee")
    assert data.image_shape == (9, 12, 3)
    for part in data.parts():
        assert np.array_equal(part.images[:, 0, 0, 0], 100 * part.labels)


def test_parts_of_a_folder_are_its_splits(tmp_path):
    for part, count in (("train", 5), ("val", 3), ("test", 2)):
        write_folder(tmp_path / part, count=count)
    data = load(tmp_path)
    assert [len(part) for part in data.parts()] == [10, 6, 4]


def test_without_a_test_part_the_validation_part_is_the_test(tmp_path):
    write_folder(tmp_path / "train", count=10)
    write_folder(tmp_path / "val", count=3)
    data = load(tmp_path)
    assert [len(part) for part in data.parts()] == [
        17,
        3,
        6,
    ]  # about a tenth of the training part, by the names of the files


def test_images_of_a_folder_are_scaled_undistorted_and_cut(tmp_path):
    write_folder(tmp_path)
    assert load(tmp_path, image_size=6).image_shape == (6, 6, 3)
    assert load(tmp_path, image_size=(4, 6), channels=1).image_shape == (4, 6, 1)


def test_a_photograph_that_says_it_lies_on_its_side_is_turned(tmp_path):
    write_folder(tmp_path, count=4, size=(9, 12))
    for file in tmp_path.rglob("*.png"):
        exif = Image.Exif()
        exif[0x0112] = 6
        with Image.open(file) as picture:
            picture.save(file, exif=exif)
    assert load(tmp_path).image_shape == (12, 9, 3)


def test_an_unreadable_image_stops_or_is_left_out_and_counted(tmp_path, caplog):
    write_folder(tmp_path)
    (tmp_path / "bee" / "03.png").write_bytes((tmp_path / "bee" / "03.png").read_bytes()[:40])
    (tmp_path / "bee" / "04.png").write_text("no image")
    with pytest.raises(DataError, match=r"03\.png is no readable image.*2 such images; on_error='skip'"):
        load(tmp_path)
    data = load(tmp_path, on_error="skip")
    assert sum(len(part) for part in data.parts()) == 18
    assert "2 of 20 images left out" in caplog.text


def test_class_folders_that_differ_between_parts_stop_or_are_left_out_and_counted(tmp_path, caplog):
    write_folder(tmp_path / "train", classes=("ant", "bee", "cat"))
    write_folder(tmp_path / "test", classes=("ant", "cat", "wasp"))
    with pytest.raises(DataError, match=r"folders of test, train differ: bee, wasp.*2 such classes; on_error='skip'"):
        load(tmp_path)
    data = load(tmp_path, on_error="skip")
    assert data.class_names == ("ant", "cat")
    assert "2 classes that not every part has left out: bee, wasp" in caplog.text
    assert np.array_equal(data.test.images[:, 0, 0, 0], 100 * data.test.labels)  # written in that order in each part
    assert np.array_equal(data.train.images[:, 0, 0, 0], 200 * data.train.labels)


def test_a_class_that_skipping_leaves_empty_is_an_error(tmp_path):
    write_folder(tmp_path)
    for file in (tmp_path / "bee").iterdir():
        file.write_text("no image")
    with pytest.raises(DataError, match=r"bee holds no readable image"):
        load(tmp_path, on_error="skip")


def test_pictures_of_sixteen_bits_are_scaled_and_counted(tmp_path, caplog):
    write_folder(tmp_path)
    Image.fromarray(np.full((9, 12), 40000, "uint16")).save(tmp_path / "ant" / "00.png")
    data = load(tmp_path)
    assert any((part.images == 40000 >> 8).all(axis=(1, 2, 3)).any() for part in data.parts())
    assert "1 image: 16 bits a channel scaled to 8 bits" in caplog.text


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "1"])
def test_pictures_of_other_channels_are_brought_to_those_that_are_wanted(tmp_path, mode):
    write_folder(tmp_path)
    with Image.open(tmp_path / "ant" / "00.png") as picture:
        picture.convert(mode).save(tmp_path / "ant" / "00.tiff")
    data = load(tmp_path)
    assert data.image_shape == (9, 12, 3)
    assert sum(len(part) for part in data.parts()) == 21


def test_folders_that_hold_no_classes_or_no_images_are_an_error(tmp_path):
    with pytest.raises(DataError, match=r"has no sub-folders.*class/image\.png"):
        load(tmp_path)
    write_folder(tmp_path)
    (tmp_path / "cat").mkdir()
    with pytest.raises(DataError, match="cat holds no images"):
        load(tmp_path)
    with pytest.raises(DataError, match="is not a folder"):
        load(tmp_path / "nowhere")


def test_images_of_several_sizes_need_a_size(tmp_path):
    write_folder(tmp_path, classes=("ant",), size=(9, 12))
    write_folder(tmp_path, classes=("bee",), size=(9, 9))
    with pytest.raises(DataError, match=r"several sizes, such as .*pass image_size"):
        load(tmp_path)
    assert load(tmp_path, image_size=8).image_shape == (8, 8, 3)


def test_a_limit_does_not_move_images_between_the_splits(tmp_path):
    for i in range(1200):  # more than a limit of 2 reads of parts that come apart
        path = tmp_path / "ab"[i % 2] / f"{i:04d}.ppm"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"P6 1 1 255\n" + bytes((i % 2, i % 256, i // 256)))
    few, all_of_them = load(tmp_path, limit=2), load(tmp_path)
    for part, whole in zip(few.parts(), all_of_them.parts(), strict=True):
        assert {image.tobytes() for image in part.images} <= {image.tobytes() for image in whole.images}


def test_a_limit_reads_the_first_files_of_every_class(tmp_path):
    write_folder(tmp_path)
    data = load(tmp_path, limit=2)
    assert [np.bincount(part.labels).tolist() for part in data.parts()] == [[1, 1]] * 3
