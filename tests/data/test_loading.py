import numpy as np
import pytest
from PIL import Image
from support.training import arrays, numbers

from kattn.data.loading import DataError, Dataset, fingerprint, load, source_names


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


def test_splits_are_disjoint_seeded_and_hold_every_class_in_proportion():
    pair = arrays(300, classes=3)
    data, again, other = load(pair), load(pair), load(pair, split_seed=1)
    found = [set(numbers(part.images)) for part in data.parts()]
    assert sorted(set.union(*found)) == list(range(300))
    assert sum(map(len, found)) == 300
    assert [len(part) for part in found] == [216, 24, 60]
    assert np.bincount(data.test.labels).tolist() == [20, 20, 20]
    assert fingerprint(data.test) == fingerprint(again.test) != fingerprint(other.test)


def test_a_test_set_that_is_given_is_kept_whole():
    data = load((arrays(60), arrays(12, seed=1)), validation=0.5)
    assert (len(data.train), len(data.validation), len(data.test)) == (30, 30, 12)


def test_all_three_splits_can_be_given():
    data = load({"train": arrays(9), "validation": arrays(6), "test": arrays(3)})
    assert [len(part) for part in data.parts()] == [9, 6, 3]
    assert load(data) is data
    assert isinstance(data, Dataset)


def test_a_column_of_labels_and_wider_integers_are_understood():
    images, labels = arrays(30)
    data = load((images.astype("int64"), labels[:, None].astype("uint8")))
    assert data.train.images.dtype == np.uint8
    assert data.train.labels.dtype == np.int32


def test_grey_images_without_a_channel_axis_get_one():
    images, labels = arrays(30, channels=1)
    assert load((images[..., 0], labels)).image_shape == (8, 8, 1)
    assert load((images, labels), channels=3).image_shape == (8, 8, 3)


def test_a_limit_keeps_every_class():
    data = load(arrays(300, classes=5), limit=10)
    assert [np.bincount(part.labels).tolist() for part in data.parts()] == [[2] * 5] * 3


def test_only_the_split_that_is_asked_for_is_filled():
    data = load(arrays(60), splits=("test",))
    assert [len(part) for part in data.parts()] == [0, 0, 12]


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


# folders of images


def write_folder(root, classes=("ant", "bee"), count=10, size=(9, 12), mode="RGB"):
    for c, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for i in range(count):
            color = (100 * c, i % 256, i // 256) if mode == "RGB" else 100 * c + i
            Image.new(mode, size[::-1], color).save(root / name / f"{i:02d}.png")


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
    assert [len(part) for part in data.parts()] == [18, 2, 6]


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
    with pytest.raises(DataError, match=r"03\.png is no readable image.*2 such files; on_error='skip'"):
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


def test_pictures_of_more_than_eight_bits_are_not_cut_off_in_silence(tmp_path, caplog):
    write_folder(tmp_path)
    Image.fromarray(np.full((9, 12), 40000, "uint16")).save(tmp_path / "ant" / "00.png")
    with pytest.raises(DataError, match=r"00\.png is no readable image: its mode I;16 has more than 8 bits"):
        load(tmp_path)
    assert sum(len(part) for part in load(tmp_path, on_error="skip").parts()) == 19
    assert "1 of 20 images left out" in caplog.text


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


def test_one_source_is_trained_on_and_another_of_the_same_classes_tested_on(tmp_path, caplog):
    write_folder(tmp_path / "art", count=10)
    write_folder(tmp_path / "clip", count=6)
    data = load({"train": str(tmp_path / "art"), "test": tmp_path / "clip"})
    assert [len(part) for part in data.parts()] == [18, 2, 12]
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


def test_a_limit_does_not_move_images_between_the_splits(tmp_path):
    write_folder(tmp_path, count=600, size=(2, 2))
    few, all_of_them = load(tmp_path, limit=2), load(tmp_path)
    for part, whole in zip(few.parts(), all_of_them.parts(), strict=True):
        assert {image.tobytes() for image in part.images} <= {image.tobytes() for image in whole.images}


def test_a_limit_reads_the_first_files_of_every_class(tmp_path):
    write_folder(tmp_path)
    data = load(tmp_path, limit=2)
    assert [np.bincount(part.labels).tolist() for part in data.parts()] == [[1, 1]] * 3
