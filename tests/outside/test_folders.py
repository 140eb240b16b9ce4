"""Folders of images as people have them: what is meant is read, the rest is refused by name or said in the log."""

import os
import shutil
import unicodedata

import keras
import numpy as np
import pytest
from PIL import Image
from support.image_files import encoded, write_folder
from support.training import EAGER, tiny_model

import kattn
from kattn.data.errors import DataError
from kattn.data.loading import load

PICTURE = Image.new("RGB", (12, 9), (7, 8, 9))


def add(path, content=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(PICTURE, "png") if content is None else content)


def sizes(data):
    return [len(part) for part in data.parts()]


@pytest.fixture
def parts(tmp_path):
    """train/, val/ and test/ of two classes, 10, 6 and 4 images."""
    for part, count in (("train", 5), ("val", 3), ("test", 2)):
        write_folder(tmp_path / part, count=count)
    return tmp_path


@pytest.mark.parametrize("beside", ["sample_images/a.png", "extra/cat/a.png", "docs/figures/deep/a.png", "empty/"])
def test_other_folders_beside_the_parts_are_left_out_by_name(parts, beside, caplog):
    add(parts / beside / "x.png")
    data = load(parts)
    assert data.class_names == ("ant", "bee") and sizes(data) == [10, 6, 4]
    assert f"folders beside test, train, val left out: {beside.split('/')[0]}" in caplog.text


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [
        ("Train", "VALID", "Test"),
        ("training", "validation", "testing"),
        ("training_set", "val set", "test-set"),
        ("my_cars_train", "my_cars_val", "my_cars_test"),
    ],
)
def test_parts_are_known_by_the_names_in_use(tmp_path, train, validation, test):
    for part, count in ((train, 5), (validation, 3), (test, 2)):
        write_folder(tmp_path / part, count=count)
    assert sizes(load(tmp_path)) == [10, 6, 4]


def test_two_folders_of_one_part_are_refused(parts):
    write_folder(parts / "valid", count=2)
    with pytest.raises(DataError, match=r"val and valid are both the validation part\. Keep one"):
        load(parts)


@pytest.mark.parametrize("image", ["a.png", "unknown/a.png", "images/a.png"])
def test_a_test_part_without_labels_is_left_out_with_a_line(parts, caplog, image):
    shutil.rmtree(parts / "test")
    add(parts / "test" / image)
    data = load(parts)
    assert data.class_names == ("ant", "bee") and sizes(data)[2] == 6  # the validation part is the test then
    assert "left out: test" in caplog.text or "the test part left out" in caplog.text


def test_a_part_alone_can_be_evaluated_on(parts):
    shutil.rmtree(parts / "train")
    data = load(parts, splits=("test",))
    assert sizes(data) == [0, 0, 4]
    answers = kattn.evaluate(lambda images: np.ones((len(images), 2)), parts)
    assert answers.images == 4


def test_parts_without_a_training_part_beside_classes_are_refused(parts):
    shutil.rmtree(parts / "train")
    add(parts / "ant" / "a.png")
    with pytest.raises(DataError, match=r"test, val holds class folders.*beside it lies ant\. Put the training images"):
        load(parts)


def test_a_class_may_be_called_as_a_part(tmp_path, caplog):
    write_folder(tmp_path, classes=("bus", "car", "train"))
    assert load(tmp_path).class_names == ("bus", "car", "train")
    assert "train is taken for a class, since it holds no class folders" in caplog.text
    write_folder(tmp_path, classes=("car_test", "valid"))
    with pytest.raises(DataError, match="train, valid hold no class folders"):
        load(tmp_path)
    shutil.rmtree(tmp_path / "train")
    assert load(tmp_path).class_names == ("bus", "car", "car_test", "valid")


@pytest.mark.parametrize("name", ["test", "Val", "validation", "test_images"])
def test_an_unlabelled_part_beside_classes_is_refused_by_name(tmp_path, name):
    write_folder(tmp_path, classes=("cat", "dog", name))
    with pytest.raises(DataError, match=rf"{name} lies beside class folders and holds none.*move it away.*rename it"):
        load(tmp_path)


def test_class_names_that_differ_in_capitals_only_are_named(tmp_path, caplog):
    write_folder(tmp_path, classes=("cat", "Cat", "dog"))
    assert load(tmp_path).class_names == ("Cat", "cat", "dog")
    assert "class names that differ in capitals only: cat" in caplog.text


@pytest.mark.parametrize(
    ("layout", "advice"),
    [
        (["data/train/ant", "data/train/bee", "data/test/ant"], r"pass .*data"),
        (["ant/train", "ant/test", "bee/train", "bee/test"], r"lay them out as .*/train/class/image\.png"),
        (["a/train/ant", "a/test/ant", "b/train/ant"], r"lay them out as"),
        (["archive/train/ant", "archive/samples"], r"pass .*archive"),
    ],
)
def test_parts_in_the_wrong_place_are_refused_with_the_way_out(tmp_path, layout, advice):
    for folder in layout:
        add(tmp_path / folder / "a.png")
    with pytest.raises(DataError, match=advice):
        load(tmp_path)


def test_classes_of_two_levels_stay_what_they_are_and_a_line_says_so(tmp_path, caplog):
    for name in ("audi/a4", "audi/tt", "bmw/test", "bmw/x1"):
        write_folder(tmp_path / name, classes=("",), count=6)
    assert load(tmp_path).class_names == ("audi/a4", "audi/tt", "bmw/test", "bmw/x1")
    assert "each inner one is a class of its own, such as audi/a4" in caplog.text


def test_what_systems_and_archives_leave_behind_is_no_class_and_no_image(parts):
    before = load(parts).describe()
    for place in (parts, parts / "train", parts / "train" / "ant"):
        for junk in ("__MACOSX/train/._a.png", "@eaDir/a.png", ".cache/a.png", "thumbnails/a.png", ".hidden.png"):
            add(place / junk)
        for junk in ("Thumbs.db", ".DS_Store", "desktop.ini", "._00.png"):
            add(place / junk, b"junk")
    assert load(parts).describe() == before


def test_every_image_counts_whatever_its_name_and_other_files_are_named(tmp_path, caplog):
    write_folder(tmp_path)
    for name, kind in {"a.jfif": "jpeg", "b": "webp", "C.JPEG": "jpeg", "d.png": "gif", "e.data": "png"}.items():
        add(tmp_path / "ant" / name, encoded(PICTURE, kind))
    for name in ("notes.txt", "labels.csv", "shot.nef"):
        add(tmp_path / "bee" / name, encoded(PICTURE, "tiff") if name.endswith("nef") else b"1,2")
    assert sum(sizes(load(tmp_path))) == 25
    assert "3 files that are no images left out: labels.csv, notes.txt, shot.nef" in caplog.text


def test_images_beside_the_folders_are_named(parts, caplog):
    add(parts / "stray.png")
    add(parts / "train" / "lost.png")
    assert sizes(load(parts)) == [10, 6, 4]
    assert "1 images beside the folders left out: stray.png" in caplog.text
    assert "1 images beside the folders left out: lost.png" in caplog.text


@pytest.mark.parametrize("name", ["photo.heic", "photo.HEIF", "photo"])
def test_an_image_that_pillow_cannot_read_stops_or_is_counted_and_named(tmp_path, caplog, name):
    write_folder(tmp_path)
    add(tmp_path / "ant" / name, b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 100)
    with pytest.raises(DataError, match=rf"{name} is no readable image: it is a HEIC file: convert it.*1 such images"):
        load(tmp_path)
    assert sum(sizes(load(tmp_path, on_error="skip"))) == 20
    assert f"{name} is no readable image" in caplog.text and "1 of 21 images left out" in caplog.text


def test_a_class_without_images_stops_or_is_left_out_and_counted(parts, caplog):
    for part in ("train", "val", "test"):
        (parts / part / "cow").mkdir()
    add(parts / "train" / "cow" / "a.txt", b"no image")
    with pytest.raises(DataError, match=r"cow holds no images\. \(1 such classes; on_error='skip' leaves them out"):
        load(parts)
    data = load(parts, on_error="skip")
    assert data.class_names == ("ant", "bee") and sizes(data) == [10, 6, 4]
    assert "1 classes without images left out: cow" in caplog.text


def test_images_that_are_in_two_places_are_counted(tmp_path, caplog):
    write_folder(tmp_path / "train", count=6)
    write_folder(tmp_path / "test", classes=("ant", "bee"), count=2, mode="L")
    shutil.copy(tmp_path / "train" / "ant" / "03.png", tmp_path / "test" / "ant" / "other.png")
    shutil.copy(tmp_path / "train" / "bee" / "03.png", tmp_path / "test" / "ant" / "wrong.png")
    load(tmp_path, image_size=8)
    assert "2 images are in more than one part of the data, such as" in caplog.text
    assert "1 images are in more than one class, such as" in caplog.text
    caplog.clear()
    shutil.copy(tmp_path / "train" / "ant" / "00.png", tmp_path / "train" / "ant" / "copy.png")
    load(tmp_path / "train")
    assert "1 images are there more than once, and may be split between training and test" in caplog.text


def test_one_name_written_in_two_ways_is_one_class(tmp_path):
    composed, decomposed = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    write_folder(tmp_path / "train", classes=(composed, "日本", "naïve $x$ %"))
    write_folder(tmp_path / "test", classes=(decomposed, "日本", "naïve $x$ %"))
    assert load(tmp_path).class_names == (composed, "naïve $x$ %", "日本")
    write_folder(tmp_path / "train", classes=(decomposed,), count=1)
    with pytest.raises(DataError, match="are one class name written in two ways"):
        load(tmp_path)


def test_class_names_can_be_written_to_any_file(tmp_path):
    for name in (b"caf\xe9", b"line\nbreak", b"plain"):
        folder = os.path.join(os.fsencode(tmp_path), name)
        os.mkdir(folder)
        for i in range(5):
            PICTURE.save(os.path.join(os.fsdecode(folder), f"{i}.png"))
    names = load(tmp_path).class_names
    assert names == ("caf\ufffd", "line\ufffdbreak", "plain")
    "\n".join(names).encode("utf-8")


def test_links_are_followed_and_lead_into_no_circle(tmp_path):
    write_folder(tmp_path / "far", count=10)
    root = tmp_path / "data"
    root.mkdir()
    (root / "ant").symlink_to(tmp_path / "far" / "ant")
    (root / "bee").mkdir()
    for file in (tmp_path / "far" / "bee").iterdir():
        (root / "bee" / file.name).symlink_to(file)
    (root / "loop").symlink_to(root)
    (root / "bee" / "up").symlink_to(root)
    (root / "bee" / "here").symlink_to(root / "bee")
    data = load(root)
    assert data.class_names == ("ant", "bee") and sum(sizes(data)) == 20
    (root / "bee" / "lost.png").symlink_to(root / "nowhere.png")
    with pytest.raises(DataError, match=r"lost\.png is no readable image: No such file"):
        load(root)


def test_the_place_of_the_images_is_kept_and_its_spelling_does_not_matter(tmp_path, monkeypatch):
    write_folder(tmp_path / "photos")
    whole = load(tmp_path / "photos").describe()
    monkeypatch.chdir(tmp_path)
    short = load("photos").describe()
    assert short["path"] == whole["path"] == str(tmp_path / "photos")
    assert short["fingerprint"] == whole["fingerprint"]
    write_folder(tmp_path / "drawings")
    assert load("photos:drawings").describe()["path"] == f"{tmp_path / 'photos'}:{tmp_path / 'drawings'}"


def test_a_run_is_evaluated_and_goes_on_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(keras.Model, "run_eagerly", EAGER)
    write_folder(tmp_path / "here" / "photos", count=6, size=(8, 8))
    (tmp_path / "other").mkdir()
    options = {"out": tmp_path / "run", "overrides": {"epochs": 1}, "verbose": False, "limit": 8}
    monkeypatch.chdir(tmp_path / "here")
    run = kattn.train(tiny_model(classes=2), data="photos", **options)
    there = kattn.evaluate(run.path)
    monkeypatch.chdir(tmp_path / "other")
    assert kattn.evaluate(run.path) == there
    assert kattn.evaluate(run.path, data="../here/photos").images == there.images  # the run's own, with its limit
    again = kattn.train(tiny_model(classes=2), data="../here/photos", resume=True, **options)
    assert again.history == run.history
