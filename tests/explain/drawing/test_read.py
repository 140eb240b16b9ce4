"""Image files of every mode come out as the pixels a person sees; what is none is counted or named."""

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

from kattn.explain import batch_of, overlay_original, read_images

RGB = np.random.default_rng(0).integers(0, 255, (20, 30, 3)).astype("uint8")
GREY = RGB[..., 0]


def saved(folder, image, name="a.png", **options):
    path = folder / name
    image.save(path, **options)
    return path


def test_every_mode_becomes_rgb(tmp_path):
    colour, grey = Image.fromarray(RGB), Image.fromarray(GREY)
    half = Image.fromarray(np.dstack([RGB, np.where(np.arange(30) < 15, 0, 255) * np.ones((20, 1))]).astype("uint8"))
    on_white = np.where(np.arange(30)[None, :, None] < 15, 255, RGB)
    exact = {
        "rgb.png": (colour, RGB),
        "grey.png": (grey, np.dstack([GREY] * 3)),
        "cmyk.tiff": (colour.convert("CMYK"), np.asarray(colour.convert("CMYK").convert("RGB"))),
        "palette.png": (colour.quantize(16), np.asarray(colour.quantize(16).convert("RGB"))),
        "deep.png": (Image.fromarray(GREY.astype("uint16") * 257), np.dstack([GREY] * 3)),
        "float.tiff": (Image.fromarray(GREY.astype("float32")), np.dstack([GREY] * 3)),
        "alpha.png": (half, on_white),
        "bits.png": (grey.convert("1"), np.asarray(grey.convert("1").convert("RGB"))),
    }
    for name, (image, expected) in exact.items():
        picture = read_images(saved(tmp_path, image, name))[0]
        np.testing.assert_array_equal(picture.original, expected, err_msg=name)
        np.testing.assert_array_equal(picture.pixels, expected, err_msg=name)
    palette = colour.quantize(16)
    picture = read_images(saved(tmp_path, palette, "see_through.png", transparency=3))[0]
    assert (picture.original[np.asarray(palette) == 3] == 255).all()


def test_a_turned_photograph_is_turned_back(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright
    picture = read_images(saved(tmp_path, Image.fromarray(RGB), exif=exif.tobytes()))[0]
    np.testing.assert_array_equal(picture.original, np.rot90(RGB, -1))


def test_the_middle_is_shown_to_the_model_and_the_map_goes_back_there(tmp_path):
    x = keras.Input((10, 10, 1), name="image")
    model = keras.Model(x, layers.GlobalAveragePooling2D()(x))
    picture = read_images(saved(tmp_path, Image.fromarray(RGB)), model, value_range=(0, 255))[0]
    assert picture.pixels.shape == (10, 10, 1) and picture.box == (0, 5, 20, 25)
    drawn = overlay_original(picture, np.ones((10, 10)), strength=1)
    assert drawn.shape == RGB.shape
    np.testing.assert_array_equal(drawn[:, :5], RGB[:, :5])
    assert (drawn[:, 5:25] == drawn[0, 5]).all() and (drawn[0, 5] != RGB[0, 5]).any()
    assert batch_of([picture, picture]).shape == (2, 10, 10, 1)
    unit = read_images(picture.path, model, value_range=(-1, 1), resize="stretch")
    assert unit[0].box == (0, 0, *RGB.shape[:2])
    np.testing.assert_allclose(batch_of(unit)[0], unit[0].pixels / 127.5 - 1, atol=1e-6)
    with pytest.raises(ValueError, match="which values the model takes"):
        batch_of(read_images(picture.path, model))


def test_what_is_no_image_is_left_out_and_counted(tmp_path, caplog):
    saved(tmp_path, Image.fromarray(RGB), "good.png")
    (tmp_path / "text.jpg").write_text("no image")
    whole = saved(tmp_path, Image.fromarray(RGB), "cut.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    saved(tmp_path, Image.fromarray(np.full((4, 4), -1, "float32")), "negative.tiff")
    (tmp_path / "notes.txt").write_text("not looked at")
    found = read_images(tmp_path)
    assert [picture.path.name for picture in found] == ["good.png"]
    assert "3 of 4 files left out" in caplog.text and "text.jpg" in caplog.text
    with pytest.raises(ValueError, match=r"cut\.png is no readable image"):
        read_images(tmp_path, on_error="raise")


def test_paths_that_give_nothing_are_named(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.png").write_text("no image")
    for paths, message in (
        (tmp_path / "empty", "holds no images"),
        (tmp_path / "nowhere", "no file or folder"),
        (tmp_path / "broken.png", "none of the 1 files"),
        ([], "no image was named"),
    ):
        with pytest.raises(ValueError, match=message):
            read_images(paths)
    with pytest.raises(ValueError, match="on_error must be"):
        read_images(tmp_path, on_error="ignore")
    with pytest.raises(ValueError, match="1, 3 or 4 channels"):
        read_images(tmp_path, channels=2)
    files = [saved(tmp_path, Image.fromarray(RGB[: 10 + i]), f"{i}.png") for i in (0, 1)]
    with pytest.raises(ValueError, match="2 sizes make no batch"):
        batch_of(read_images(files))
