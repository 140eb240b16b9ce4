"""What a model's input is, stated or known: calibration and comparison on what people really feed."""

import keras
import numpy as np
import pytest
from keras import ops
from PIL import Image
from support.colours import COLOURS, SIZE, coloured, coloured_folder

import kattn
from kattn.export import ExportInputError, Report, load

L = keras.layers
CLASSES = len(COLOURS)


def few(cases, *default):
    """Parameters, all but some of them slow."""
    return [case if case in default else pytest.param(case, marks=pytest.mark.slow) for case in cases]


def small(*first, dtype="float32", activation="softmax", units=CLASSES, channels=3):
    """A CNN of a user's that begins so."""
    x = image = keras.Input((SIZE, SIZE, channels), dtype=dtype)
    for layer in first:
        x = layer(x)
    x = L.Conv2D(8, 3, strides=2, activation="relu")(x)
    return keras.Model(image, L.Dense(units, activation)(L.GlobalAveragePooling2D()(x)))


def trained(model, as_input):
    """The model, taught the colours from images as it takes them; and how well it does on others."""
    images, classes = coloured(192)
    model.compile(keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy")
    model.fit(as_input(images), classes, epochs=12, verbose=0)
    return model


def accuracy(answers, classes):
    return float((answers.argmax(-1) == classes).mean())


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder of class folders."""
    return coloured_folder(tmp_path_factory.mktemp("photos"), 60)


@pytest.fixture(scope="module")
def minus_one():
    """A model that takes -1..1, as keras.applications' preprocess_input gives it; nothing in it says so."""
    return trained(small(), lambda images: images / np.float32(127.5) - 1)


def test_an_adapted_normalization_is_calibrated_in_the_range_of_its_data(tmp_path):
    images, classes = coloured(192)
    unit = images / np.float32(255 / 1.4)
    normalise = L.Normalization(axis=None)
    normalise.adapt(unit)
    model = trained(small(normalise), lambda images: images / np.float32(255 / 1.4))
    report = kattn.export.tflite(model, tmp_path / "m.tflite", precision="int8", calibration=unit[:96])
    assert report.inputs["image"]["scale"] < 1.4 / 255 * 1.1
    answers = load(tmp_path / "m.tflite")(unit)["predictions"]
    assert accuracy(answers, classes) >= accuracy(model.predict(unit, verbose=0), classes) - 0.02 > 0.9


def test_files_into_a_model_whose_range_is_unknown_are_refused_and_right_once_it_is_stated(tmp_path, photos, minus_one):
    path = tmp_path / "m.tflite"
    with pytest.raises(ExportInputError, match=r"State what .*value_range="):
        kattn.export.tflite(minus_one, path, precision="int8", calibration=photos)
    report = kattn.export.tflite(minus_one, path, precision="int8", calibration=photos, value_range=(-1, 1))
    assert report.facts["value_range"] == [-1, 1]
    assert report.inputs["image"]["scale"] == pytest.approx(2 / 255, rel=0.02)
    images, classes = coloured(60, seed=3)
    answers = load(path)(images / np.float32(127.5) - 1)["predictions"]
    assert accuracy(answers, classes) >= 0.9


def test_a_function_makes_the_models_input(tmp_path, photos, minus_one):
    preprocess = keras.applications.mobilenet_v2.preprocess_input
    report = kattn.export.onnx(
        minus_one, tmp_path / "m.onnx", precision="int8", calibration=photos, preprocess=preprocess
    )
    assert report.facts["preprocess"].endswith("mobilenet_v2.preprocess_input")
    with pytest.raises(ValueError, match=r"mobilenet_v2\.preprocess_input: pass it as preprocess="):
        kattn.predict(tmp_path / "m.onnx", photos)
    assert len(kattn.predict(tmp_path / "m.onnx", photos, preprocess=preprocess)) == 60
    images, classes = coloured(60, seed=3)
    assert accuracy(load(tmp_path / "m.onnx")(preprocess(images.astype("float32")))["predictions"], classes) >= 0.9


# What people feed that is no 8-bit image: first layers and the range of the values.
OTHER = {
    "12 bits": ([L.Rescaling(1 / 4095)], (0, 4095)),
    "0 to 1": ([L.Rescaling(2, -1)], (0, 1)),
    "decibels": ([L.Rescaling(1 / 40, 1)], (-80, 0)),
    "16 bits": ([L.Rescaling(1 / 65535)], (0, 65535)),
    "Hounsfield": ([L.Rescaling(1 / 2000, 0.5)], (-1000, 3000)),
    "nothing": ([], (-1, 1)),
}


@pytest.mark.parametrize("name", few(OTHER, "12 bits", "0 to 1"))
@pytest.mark.parametrize("stated", [False, True])
def test_arrays_in_any_range_are_taken(name, stated, tmp_path):
    first, (low, high) = OTHER[name]
    images = low + coloured(16)[0].astype("float32") * np.float32((high - low) / 255)
    said = {"value_range": (low, high)} if stated else {}
    report = kattn.export.saved_model(small(*first), tmp_path / "m", images=images, **said)
    assert report.images == "16 given images" and report.max_abs_diff < 1e-4
    assert report.facts.get("value_range") == ([low, high] if stated or name == "0 to 1" else None)


@pytest.mark.parametrize("dtype", few(["uint8", "int8", "int16", "int32", "uint16"], "uint8"))
def test_integer_inputs_are_compared_on_integers(dtype, tmp_path):
    model = small(lambda x: ops.cast(x, "float32") / 127.5 - 1, dtype=dtype)
    report = kattn.export.saved_model(model, tmp_path / "m")
    assert report.inputs["image"]["dtype"] == dtype and report.max_abs_diff < 1e-5
    assert not any("hardly differs" in warning for warning in report.warnings)


def test_augmentation_in_front_of_the_rescaling_does_not_hide_it(tmp_path):
    augmented = keras.Sequential(
        [keras.Input((SIZE, SIZE, 3)), L.RandomFlip(), L.RandomRotation(0.1), L.RandomZoom(0.1)]
    )
    model = small(augmented, L.Rescaling(1 / 255))
    with pytest.raises(ExportInputError, match=r"lie between 0 and 1, and raw pixels from 0 to 255"):
        kattn.export.saved_model(model, tmp_path / "m", images=coloured(8)[0] / 255)
    report = kattn.export.saved_model(model, tmp_path / "m", images=coloured(8)[0])
    assert report.facts["origins"]["value_range"].startswith("measured")


def test_what_looks_wrong_and_is_right_can_be_stated(tmp_path):
    unit = coloured(8)[0] / np.float32(255)
    with pytest.raises(ExportInputError, match=r"value_range=\(0, 1\)"):
        kattn.export.saved_model(
            kattn.zoo.resnet20(input_shape=(32, 32, 3), depths=(1, 1, 1)),
            tmp_path / "m",
            images=np.tile(unit, (1, 3, 3, 1))[:, :32, :32],
        )
    model = small(L.Rescaling(1 / 255))
    report = kattn.export.saved_model(model, tmp_path / "m", images=unit, value_range=(0, 1))
    assert report.facts["origins"]["value_range"] == "stated"


def test_labels_and_range_are_written_and_read_by_whoever_opens_the_file(tmp_path, minus_one):
    (tmp_path / "names.txt").write_text("red\ngreen\nblue\n")
    said = {"value_range": (-1, 1), "resize": "stretch", "labels": tmp_path / "names.txt"}
    kattn.export.saved_model(minus_one, tmp_path / "m", **said)
    assert (tmp_path / "m.labels.txt").read_text().split() == ["red", "green", "blue"]
    facts = Report.read(tmp_path / "m.json").facts
    assert (facts["labels"], facts["resize"], facts["value_range"]) == (["red", "green", "blue"], "stretch", [-1, 1])
    kattn.export.saved_model(minus_one, tmp_path / "m")
    assert not (tmp_path / "m.labels.txt").exists()  # those of another export
    kattn.export.onnx(minus_one, tmp_path / "m.onnx", **said)
    import onnx

    metadata = {entry.key: entry.value for entry in onnx.load(tmp_path / "m.onnx").metadata_props}
    assert metadata["labels"] == '["red", "green", "blue"]'
    assert (metadata["value_range"], metadata["resize"], metadata["layout"]) == ("[-1.0, 1.0]", "stretch", "nhwc")


@pytest.mark.parametrize("resize", few(["crop", "stretch", "pad"], "crop"))
@pytest.mark.parametrize("value_range", few([(-1, 1), (0, 255)], (-1, 1)))
def test_a_served_jpeg_is_what_evaluation_sees(resize, value_range, tmp_path):
    import tensorflow as tf

    grid = np.add.outer(np.arange(48) * 2, np.arange(80))[..., None] + np.array([0, 40, 80])
    Image.fromarray(grid.astype("uint8")).save(tmp_path / "a.jpg", quality=95)
    image = keras.Input((SIZE, SIZE, 3))
    model = keras.Model(image, L.AveragePooling2D(2)(image))
    said = {"value_range": value_range, "resize": resize}
    kattn.export.saved_model(model, tmp_path / "m", signatures=("jpeg", "uint8"), **said)
    loaded = tf.saved_model.load(str(tmp_path / "m"))
    served = loaded.signatures["serving_jpeg"](tf.constant([(tmp_path / "a.jpg").read_bytes()]))["predictions"].numpy()
    seen = kattn.predict(model, tmp_path / "a.jpg", **said)[0].values
    assert np.abs(served[0] - seen).mean() < 0.01 * (value_range[1] - value_range[0])
    array = np.full((1, SIZE, SIZE, 3), 255, "uint8")
    top = loaded.signatures["serving_uint8"](tf.constant(array))["predictions"].numpy()
    assert top.max() == pytest.approx(value_range[1])


def test_bytes_are_not_served_to_a_model_whose_range_is_unknown(tmp_path):
    with pytest.raises(ExportInputError, match=r"uint8 and jpeg take bytes.*value_range="):
        kattn.export.saved_model(small(), tmp_path / "m", signatures=("uint8",))
