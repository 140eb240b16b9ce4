"""A run knows its images: what it was trained on is no test image, whatever becomes of the folder."""

import json
import shutil

import keras
import numpy as np
import pytest
from PIL import Image
from support.logs import said
from support.training import EAGER, arrays, tiny_model

import kattn
from kattn.data.errors import DataError
from kattn.explain import report
from kattn.runs.errors import RunError


def picture(path, number):
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(number)
    Image.fromarray(rng.integers(0, 256, (8, 8, 3), "uint8")).save(path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run on a folder of two classes of 30 images."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.Model, "run_eagerly", EAGER)
        root = tmp_path_factory.mktemp("changed")
        for i in range(30):
            picture(root / "photos" / "ant" / f"{i}.png", i)
            picture(root / "photos" / "bee" / f"{i}.png", 100 + i)
        train(root)
    return root


def train(root, **options):
    settings = {"overrides": {"epochs": 1}, "verbose": False, "out": root / "run"}
    return kattn.train(tiny_model(classes=2), data=root / "photos", **settings, **options)


@pytest.fixture
def root(trained, tmp_path, monkeypatch):
    """The same, to change; the run is told where its folder is now."""
    monkeypatch.setattr(keras.Model, "run_eagerly", EAGER)
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    config = (tmp_path / "run" / "config.json").read_text().replace(str(trained), str(tmp_path))
    (tmp_path / "run" / "config.json").write_text(config)
    return tmp_path


def as_before(root, keep_images=False):
    """The run as an older kattn would have left it: split by position, its images not recorded."""
    file = root / "run" / "config.json"
    config = json.loads(file.read_text())
    assert config["data"]["settings"].pop("split_by") == "name"
    data = kattn.data.load(root / "photos", image_size=8, split_by="position").describe()
    file.write_text(json.dumps(config | {"data": config["data"] | data}))
    (root / "run" / "images.npz").unlink()


def test_data_as_they_were_say_nothing(root, caplog):
    there = kattn.evaluate(root / "run")
    assert kattn.evaluate(root / "run", data=root / "photos") == there and said(caplog) == []


def test_images_that_are_added_do_not_move_the_others(root, caplog):
    before = kattn.evaluate(root / "run").images
    for i in range(40):
        picture(root / "photos" / "ant" / f"new_{i}.png", 1000 + i)
    more = kattn.evaluate(root / "run")
    assert more.images > before
    assert f"(test: {before} images then, {more.images} now); it was trained on none of these images" in caplog.text


def test_images_under_new_names_are_known_and_refused(root):
    for i in range(30):
        (root / "photos" / "ant" / f"{i}.png").rename(root / "photos" / "ant" / f"renamed_{i}.png")
    with pytest.raises(DataError, match=r"\d+ of its \d+ test images are images that it was trained on, such as") as e:
        kattn.evaluate(root / "run")
    assert "Make the data what they were, pass data= with images that it has not seen" in str(e.value)
    assert "renamed_" in str(e.value)
    with pytest.raises(DataError, match="that it was trained on"):
        kattn.evaluate(root / "run", on_error="skip")
    with pytest.raises(DataError, match="that it was trained on"):
        report(root / "run", root / "report.html")
    (root / "fresh" / "test").mkdir(parents=True)
    for i in range(4):
        picture(root / "fresh" / "test" / "ant" / f"{i}.png", 2000 + i)
        picture(root / "fresh" / "test" / "bee" / f"{i}.png", 3000 + i)
    assert kattn.evaluate(root / "run", data=root / "fresh").images == 8


def test_data_of_ones_choice_may_have_been_trained_on_and_are_counted(root, caplog):
    shutil.copytree(root / "photos", root / "other" / "test")
    assert kattn.evaluate(root / "run", data=root / "other").images == 60
    assert f"of its 60 test images are images that {root / 'run'} was trained on" in caplog.text


def test_a_run_of_before_keeps_its_way_of_splitting(root, caplog):
    as_before(root)
    expected = kattn.data.load(root / "photos", image_size=8, split_by="position").test
    assert kattn.evaluate(root / "run").images == len(expected) and said(caplog) == []
    picture(root / "photos" / "ant" / "05.png", 1000)
    for i in range(10):
        picture(root / "photos" / "ant" / f"a{i}.png", 1001 + i)
    with pytest.raises(
        DataError, match=r"which images it was trained on is not recorded\. Make the data what they were"
    ):
        kattn.evaluate(root / "run")


def test_a_run_of_before_is_resumed_as_it_was_split(root):
    as_before(root)
    assert train(root, resume=True).config["data"]["settings"].get("split_by") is None


def test_a_run_goes_on_with_its_own_images_only(root):
    picture(root / "photos" / "ant" / "new.png", 1000)
    with pytest.raises(RunError, match=r"images of .*photos are not those .* was started with \(.* then; .* now\)"):
        train(root, resume=True)


def test_arrays_are_known_by_their_pixels(tmp_path, monkeypatch):
    monkeypatch.setattr(keras.Model, "run_eagerly", EAGER)
    images, labels = arrays(90)
    settings = {"overrides": {"epochs": 1}, "verbose": False, "out": tmp_path / "run"}
    run = kattn.train(tiny_model(classes=3), data=(images[:60], labels[:60]), **settings)
    assert kattn.evaluate(run.path, data=(images[:60], labels[:60])).images == 12
    with pytest.raises(
        DataError, match=r"arrays is not what .* of its 18 test images are images that it was trained on"
    ):
        kattn.evaluate(run.path, data=(images, labels))
    fresh = {"test": (images[60:], labels[60:])}
    assert kattn.evaluate(run.path, data=fresh).images == 30
