"""One file gives one picture, whoever reads it: training, evaluation, calibration and explanation."""

import logging

import numpy as np
import pytest
from support.image_files import SIZE, forms, grey_pixels

import kattn
from kattn.data.loading import load
from kattn.explain import read_images
from kattn.export.source.samples import collect


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The forms as the training and the test images of one class."""
    root = tmp_path_factory.mktemp("forms")
    for part in ("train", "test"):
        (root / part / "one").mkdir(parents=True)
        for name, content in forms().items():
            (root / part / "one" / name).write_bytes(content)
    return root


def evaluated(folder, size, channels):
    """The images that a model is shown when it is evaluated."""
    seen = []

    def model(images):
        seen.append(images)
        return np.ones((len(images), 1), "float32")

    data = load(folder, image_size=size, channels=channels, splits=("test",), cache=False)
    kattn.evaluate(model, data)
    return np.concatenate(seen)[: len(forms())]


@pytest.mark.parametrize(("size", "channels"), [((16, 16), 3), ((12, 30), 1), (SIZE, 3), ((16, 16), 4)])
def test_training_evaluation_calibration_and_explanation_see_the_same_pixels(folder, size, channels):
    trained = load(folder, image_size=size, channels=channels, validation=0).train.images
    assert trained.shape == (len(forms()), *size, channels)
    np.testing.assert_array_equal(evaluated(folder, size, channels), trained)
    inside = folder / "train" / "one"
    np.testing.assert_array_equal(collect(inside, (*size, channels), limit=100), trained)
    explained = read_images(inside, size=size, channels=channels)
    np.testing.assert_array_equal(np.stack([picture.pixels for picture in explained]), trained)


def test_every_form_holds_the_same_picture(folder):
    whole = load(folder, image_size=SIZE, validation=0).train.images
    for name, pixels in zip(forms(), whole, strict=True):
        if "huge" not in name:
            np.testing.assert_array_equal(pixels, np.repeat(grey_pixels()[..., None], 3, axis=-1), err_msg=name)


def test_what_was_done_is_counted_in_the_log(folder, caplog):
    caplog.set_level(logging.INFO)
    load(folder, image_size=16)
    collect(folder / "train", (16, 16, 3), limit=100)
    assert "4 images: 16 bits a channel scaled to 8 bits" in caplog.text
    assert "2 images: several frames, of which the first was taken" in caplog.text
    assert "2 images: turned as the EXIF entry says" in caplog.text
    assert "2 images: converted from CMYK to RGB" in caplog.text
    assert "calibration images in" in caplog.text
    caplog.clear()
    load(folder, image_size=16, cache=False).test.images[:]
    assert caplog.text.count("some images: 16 bits a channel scaled to 8 bits") == 1
