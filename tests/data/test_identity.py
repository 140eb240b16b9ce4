"""The part of an image depends on its own name; its content tells it from others."""

import shutil

import numpy as np
import pytest
from support.image_files import write_folder
from support.training import arrays

from kattn.data.dataset import Split
from kattn.data.errors import DataError
from kattn.data.identity import contents, draws, keys_of
from kattn.data.loading import load


def places(root, **options):
    """The part of every file, by its place in the folder."""
    data = load(root, **options)
    parts = {"train": data.train, "validation": data.validation, "test": data.test}
    return {file.removeprefix(f"{root}/"): name for name, part in parts.items() for file in part.files}


def test_no_image_moves_when_others_are_added_or_removed(tmp_path):
    root = tmp_path / "photos"
    write_folder(root, count=60)
    before = places(root)
    for i in range(0, 60, 3):
        shutil.copy(root / "ant" / f"{i:02}.png", root / "ant" / f"more_{i}.png")
        (root / "bee" / f"{i:02}.png").unlink()
    write_folder(root, classes=("cow",), count=9)
    after = places(root)
    assert len(after) == 60 + 20 + 40 + 9
    assert {file: after[file] for file in before.keys() & after.keys()} == {
        file: before[file] for file in before.keys() & after.keys()
    }


def test_a_folder_splits_alike_wherever_it_lies_and_otherwise_by_other_seeds(tmp_path):
    write_folder(tmp_path / "a", count=40)
    shutil.copytree(tmp_path / "a", tmp_path / "far" / "b")
    here = places(tmp_path / "a")
    assert here == places(tmp_path / "far" / "b") != places(tmp_path / "a", split_seed=1)
    assert here != places(tmp_path / "a", split_by="position")
    with pytest.raises(DataError, match="split_by must be 'name' or 'position'"):
        load(tmp_path / "a", split_by="content")


@pytest.mark.parametrize("count", [2, 3, 5])
def test_a_small_class_has_at_least_one_test_image_and_one_training_image(tmp_path, count):
    names = [f"class{i}" for i in range(12)]
    write_folder(tmp_path, classes=names, count=count)
    data = load(tmp_path, validation=0)
    counts = np.bincount(data.test.labels, minlength=12)
    assert (counts >= 1).all() and (np.bincount(data.train.labels, minlength=12) >= 1).all()


def test_shares_are_those_that_were_asked_for():
    drawn = draws(keys_of([f"a/{i}.png" for i in range(20_000)]), 0, 1)
    assert abs((drawn < 0.2).mean() - 0.2) < 0.01
    again = draws(keys_of([f"a/{i}.png" for i in range(20_000)]), 0, 2)
    assert abs(np.corrcoef(drawn, again)[0, 1]) < 0.03


def test_a_name_is_one_name_however_its_accents_are_written():
    assert keys_of(["caf\u00e9/1.png"]) == keys_of(["cafe\u0301/1.png"])


def test_two_sources_are_split_by_name_too(tmp_path):
    for name in ("a", "b"):
        write_folder(tmp_path / name, count=20)
    before = set(load(f"{tmp_path / 'a'}:{tmp_path / 'b'}").validation.files)
    shutil.copy(tmp_path / "a" / "ant" / "00.png", tmp_path / "a" / "ant" / "0.png")
    after = set(load(f"{tmp_path / 'a'}:{tmp_path / 'b'}").validation.files)
    assert before == after - {str(tmp_path / "a" / "ant" / "0.png")}


def test_content_is_that_of_the_file_or_of_the_pixels(tmp_path):
    write_folder(tmp_path, count=4)
    shutil.copy(tmp_path / "ant" / "00.png", tmp_path / "bee" / "copy.png")
    data = load(tmp_path, image_size=8, validation=0)
    of_file = dict(zip(data.train.files, contents(data.train), strict=True))
    of_file |= dict(zip(data.test.files, contents(data.test), strict=True))
    assert of_file[str(tmp_path / "ant" / "00.png")] == of_file[str(tmp_path / "bee" / "copy.png")]
    assert len(set(of_file.values())) == len(of_file) - 1
    images, labels = arrays(10)
    assert len(set(contents(Split(images, labels)))) == 10


@pytest.mark.parametrize("layout", ["{part}/{name}", "{part}/make/{name}", "{part}_set/{name}"])
def test_validation_does_not_move_in_a_folder_with_parts(tmp_path, layout):
    for part, count in (("train", 40), ("test", 5)):
        for name in ("ant", "bee"):
            write_folder(tmp_path / layout.format(part=part, name=name), classes=("",), count=count)
    before = places(tmp_path)
    for name in ("ant", "bee"):
        folder = tmp_path / layout.format(part="train", name=name)
        shutil.copy(folder / "00.png", folder / "0000.png")
    after = places(tmp_path)
    assert {file: after[file] for file in before} == before and len(after) == len(before) + 2
    assert sum(part == "test" for part in after.values()) == 10


def test_images_that_are_skipped_move_no_other(tmp_path):
    write_folder(tmp_path, count=40)
    before = places(tmp_path)
    (tmp_path / "ant" / "03.png").write_bytes(b"no image")
    after = places(tmp_path, on_error="skip")
    assert after == {file: part for file, part in before.items() if file != "ant/03.png"}
    assert places(tmp_path, on_error="skip", cache=False, image_size=8) == after
