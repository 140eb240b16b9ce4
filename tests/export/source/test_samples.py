"""Images to calibrate and compare on: every source, every mistake."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from PIL import Image

from kattn.export import ExportInputError
from kattn.export.source.samples import collect, spanned
from kattn.facts.description import Fact, Input

SHAPE = (6, 8, 3)


@pytest.fixture
def array():
    return np.random.default_rng(0).integers(0, 256, (10, *SHAPE)).astype("uint8")


class Batches(keras.utils.PyDataset):
    def __init__(self, array):
        super().__init__()
        self.array = array

    def __len__(self):
        return 5

    def __getitem__(self, index):
        return self.array[2 * index : 2 * index + 2], np.zeros(2)


def dataset(array):
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices((array, np.zeros(len(array)))).batch(4)


@pytest.mark.parametrize(
    "source",
    [
        lambda a: a,
        lambda a: a.astype("float64"),
        list,
        lambda a: iter(a[:, None]),
        lambda a: ({"image": image, "label": 1} for image in a),
        lambda a: [(a[:6], 0), (a[6:], 1)],
        Batches,
        dataset,
    ],
    ids=["array", "floats", "list", "generator", "dicts", "pairs", "PyDataset", "tf.data"],
)
def test_every_source_gives_the_images_in_order(source, array):
    images = collect(source(array), SHAPE, limit=100)
    assert images.dtype == np.float32
    np.testing.assert_array_equal(images, array)


def test_an_array_is_thinned_out_evenly_and_a_stream_is_cut(array):
    np.testing.assert_array_equal(collect(array, SHAPE, limit=4), array[[0, 3, 6, 9]])
    np.testing.assert_array_equal(collect(iter(array), SHAPE, limit=4), array[:4])
    endless = (array for _ in iter(int, 1))
    assert len(collect(endless, SHAPE, limit=25)) == 25


def test_a_folder_of_files_of_other_sizes(tmp_path):
    (tmp_path / "class").mkdir()
    Image.new("RGB", (80, 60), (10, 20, 30)).save(tmp_path / "class" / "a.png")
    Image.new("L", (7, 50), 200).save(tmp_path / "b.jpg")
    (tmp_path / "notes.txt").write_text("no image")
    images = collect(tmp_path, SHAPE, limit=10)
    assert images.shape == (2, *SHAPE)
    np.testing.assert_array_equal(images[1, 0, 0], [10, 20, 30])
    assert collect(str(tmp_path), (6, 8, 1), limit=10).shape == (2, 6, 8, 1)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (None, "No calibration images were given"),
        (np.zeros((0, *SHAPE)), r"images are empty: ndarray of shape \(0, 6, 8, 3\)"),
        ([], "images are empty: list"),
        (
            np.zeros((4, 28, 28, 1)),
            r"takes images of shape \(6, 8, 3\)\. Received calibration images of shape \(28, 28, 1\)",
        ),
        (np.zeros((6, 8)), r"Received calibration images of shape \(6, 8\)"),
        (np.full((2, *SHAPE), "pixel"), "must be numbers. Received: <U5"),
        (np.full((2, *SHAPE), np.nan), "not finite"),
        (np.zeros((2, *SHAPE)), "images hold nothing but the value 0"),
        (7, "must be an array, a dataset or a folder. Received: int"),
        ([{"picture": 1}], 'needs the key "image". Received: keys picture'),
        ("no/such/folder", "does not exist: no/such/folder"),
    ],
)
def test_mistakes_are_named(source, said):
    with pytest.raises(ExportInputError, match=said):
        collect(source, SHAPE, limit=10)


def taking(value_range, **facts):
    """An input that is known to take these values."""
    known = {name: Fact(value, "stated") for name, value in facts.items()}
    ways = {"resize": Fact("crop", "default"), "interpolation": Fact("bicubic", "default")}
    fact = Fact(value_range, "stated") if value_range else Fact()
    return Input("image", Fact(SHAPE, "model"), Fact("float32", "model"), fact, **{**ways, **known})


@pytest.mark.parametrize("largest", [0.5, -1.0, 300])
def test_a_model_that_takes_pixels_takes_no_others(largest):
    images = np.linspace(0, largest, 2 * np.prod(SHAPE)).reshape(2, *SHAPE)
    with pytest.raises(ExportInputError, match=r"lie between .* raw pixels from 0 to 255 .*value_range="):
        collect(images, SHAPE, limit=10, given=taking((0, 255)))
    assert len(collect(images, SHAPE, limit=10)) == len(collect(images, SHAPE, limit=10, given=taking(None))) == 2


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-1, 1), (0, 4095), (-80, 0)])
def test_an_array_in_the_models_range_is_taken_as_it_is(low, high):
    images = np.linspace(low, high, 2 * np.prod(SHAPE)).reshape(2, *SHAPE).astype("float32")
    np.testing.assert_array_equal(collect(images, SHAPE, limit=10, given=taking((low, high))), images)


def test_files_and_bytes_are_brought_to_the_models_range(tmp_path, array):
    for i, image in enumerate(array[:3]):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    wanted = array[:3] / np.float32(127.5) - 1
    for source in (tmp_path, array[:3]):
        np.testing.assert_allclose(collect(source, SHAPE, limit=9, given=taking((-1, 1))), wanted, atol=1e-6)
        turned = collect(source, SHAPE, limit=9, given=taking(None, preprocess=lambda x: x[..., ::-1] - 100))
        np.testing.assert_allclose(turned, array[:3, ..., ::-1] - 100.0)
    np.testing.assert_array_equal(collect(array[:3], SHAPE, limit=9, given=taking(None)), array[:3])
    with pytest.raises(ExportInputError, match=r"which values m takes .*value_range=\(0, 255\)"):
        collect(tmp_path, SHAPE, limit=9, given=taking(None), model="m")


def test_files_are_resized_as_the_model_is_known_to_want_it(tmp_path):
    half = np.zeros((20, 40, 3), "uint8")
    half[:, 20:] = 200
    for i in range(2):
        Image.fromarray(half + i).save(tmp_path / f"{i}.png")
    for way, expected in (("crop", 200), ("stretch", 200), ("pad", 0)):
        images = collect(tmp_path, (8, 8, 3), limit=9, given=taking((0, 255), resize=Fact(way, "run").value))
        assert images[0, 0, 7, 0] == expected
    assert (collect(tmp_path, (8, 8, 3), limit=9, given=taking((0, 255), resize="stretch"))[0, :, 1] == 0).all()


def test_an_empty_folder_and_a_broken_file(tmp_path):
    with pytest.raises(ExportInputError, match="holds none"):
        collect(tmp_path, SHAPE, limit=10)
    (tmp_path / "broken.png").write_bytes(b"no image")
    with pytest.raises(ExportInputError, match=r"broken\.png is no readable image"):
        collect(tmp_path, SHAPE, limit=10)
    with pytest.raises(ExportInputError, match=r"The folder of calibration images is a file: .*broken\.png"):
        collect(tmp_path / "broken.png", SHAPE, limit=10)


def test_a_folder_is_read_as_training_reads_it_and_says_what_was_done(tmp_path, caplog):
    deep = np.full((9, 12), 40000, "uint16")
    for i in range(4):
        Image.fromarray(deep + 1000 * i).save(tmp_path / f"{i}.png")
    half = np.dstack([np.full((9, 12, 3), 90), np.full((9, 12), 51)]).astype("uint8")
    Image.fromarray(half).save(tmp_path / "4.png")
    images = collect(tmp_path, (6, 8, 4), limit=3)
    np.testing.assert_array_equal(images[:, 0, 0], [[156] * 3 + [255], [164] * 3 + [255], [90] * 3 + [51]])
    assert "2 images: 16 bits a channel scaled to 8 bits" in caplog.text
    assert (collect(tmp_path, SHAPE, limit=5)[4] == 255 - (255 - 90) // 5).all()
    with pytest.raises(ExportInputError, match=r"with 1, 3 or 4 channels\. Received: channels=5"):
        collect(tmp_path, (6, 8, 5), limit=5)
    with pytest.raises(ExportInputError, match=r"takes inputs of shape \(10,\)\. Give an array"):
        collect(tmp_path, (10,), limit=5)


def test_calibration_sees_the_whole_range_that_is_known():
    grey = np.full((2, *SHAPE), 100, "float32")
    found = spanned(grey, (0, 255))
    assert (found.min(), found.max()) == (0, 255)
    assert (found != grey).sum() == 2 and (grey == 100).all()
    assert spanned(grey, None) is grey
