"""What is known of a model is recorded where it is trained and exported, and used by whatever opens it."""

import json
import logging
from dataclasses import replace

import keras
import numpy as np
import pytest
from support.colours import COLOURS, SIZE, coloured, coloured_folder
from support.logs import said

import kattn
from kattn.export import load

L = keras.layers
CLASSES = len(COLOURS)


def plain(*first):
    x = image = keras.Input((SIZE, SIZE, 3))
    for layer in first:
        x = layer(x)
    x = L.GlobalAveragePooling2D()(L.Conv2D(8, 3, strides=2, activation="relu")(x))
    return keras.Model(image, L.Dense(CLASSES, "softmax")(x), name="mine")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder of 96 images in class folders."""
    return coloured_folder(tmp_path_factory.mktemp("photos"), 96)


@pytest.fixture(scope="module")
def run(tmp_path_factory, photos):
    """A run of a model that takes -1 to 1, and says so nowhere."""
    keras.utils.set_random_seed(0)
    out = tmp_path_factory.mktemp("runs") / "run"
    recipe = {"epochs": 12, "batch_size": 16}
    said = {"value_range": (-1, 1), "resize": "stretch"}
    return kattn.train(plain(), data=photos, out=out, overrides=recipe, verbose=False, **said)


def test_a_run_records_the_range_and_whatever_opens_it_uses_it(run, photos):
    config = json.loads((run.path / "config.json").read_text())
    expected = {"value_range": [-1, 1], "resize": "stretch", "interpolation": "bicubic"}
    assert config["facts"] == expected | {"kinds": {"predictions": "classes"}}
    assert run.evaluation.accuracy > 0.8
    assert kattn.evaluate(run.path).accuracy == run.evaluation.accuracy
    for path in (run.path, run.path / "model.keras"):
        found = kattn.describe(path)
        assert (found.input.value_range.value, found.input.value_range.origin) == ((-1, 1), "run")
        assert found.input.resize.value == "stretch"
        assert found.output.labels.value == ("c0", "c1", "c2")
    assert kattn.evaluate(run.path / "model.keras", photos).accuracy == run.evaluation.accuracy


def test_artefacts_of_a_run_carry_its_range_and_labels(run, photos, tmp_path):
    path = tmp_path / "m.tflite"
    kattn.export.tflite(run.model, path, precision="int8", calibration=photos)
    kattn.export.onnx(kattn.training.open_run(run.path).model, tmp_path / "m.onnx")
    kattn.export.saved_model(run.model, tmp_path / "m")
    for artefact, origin in ((path, "certificate"), (tmp_path / "m.onnx", "file"), (tmp_path / "m", "certificate")):
        found = kattn.describe(artefact)
        assert (found.input.value_range.value, found.input.value_range.origin) == ((-1, 1), origin)
        assert (found.output.kind.value, found.output.labels.value) == ("classes", ("c0", "c1", "c2"))
        assert kattn.evaluate(artefact, photos).accuracy == pytest.approx(run.evaluation.accuracy, abs=0.11)
    others = replace(kattn.data.load(photos, image_size=SIZE), class_names=("c1", "c0", "c2"))
    with pytest.raises(ValueError, match=r"Class 0 is 'c0' to .* \(file\), and 'c1' in"):
        kattn.evaluate(tmp_path / "m.onnx", others)
    assert set(kattn.evaluate(tmp_path / "m.onnx", coloured(12)).per_class) == {"c0", "c1", "c2"}
    alone = tmp_path / "alone.tflite"
    alone.write_bytes(path.read_bytes())  # without its certificate
    assert not kattn.describe(alone).input.value_range.known
    with pytest.raises(ValueError, match=r"State what .*value_range="):
        kattn.evaluate(alone, photos)
    assert kattn.evaluate(alone, photos, value_range=(-1, 1)).accuracy > 0.8
    (tmp_path / "alone.tflite.json").write_bytes((tmp_path / "m.json").read_bytes())  # of another file
    assert not kattn.describe(alone).input.value_range.known


def test_arrays_are_taken_as_they_are_and_bytes_as_images(run, photos):
    images, classes = coloured(60, seed=5)
    model = keras.saving.load_model(run.path / "model.keras")
    unit = images / np.float32(127.5) - 1
    expected = kattn.evaluate(model, (unit, classes)).accuracy
    assert expected > 0.8
    assert kattn.evaluate(model, (images, classes), value_range=(-1, 1)).accuracy == expected
    assert kattn.evaluate(model, (unit, classes), value_range=(-1, 1)).accuracy == expected
    assert kattn.evaluate(model, (images, classes), preprocess=lambda x: x / 127.5 - 1).accuracy == expected
    with pytest.raises(ValueError, match=r"lie between 0 and 255, and values from -1 to 1 \(stated\)"):
        kattn.evaluate(model, (images.astype("float32"), classes), value_range=(-1, 1))
    with pytest.raises(ValueError, match="which values mine takes"):
        kattn.evaluate(model, photos)


def test_values_that_a_file_is_known_not_to_take_are_said_once(run, tmp_path, caplog):
    kattn.export.onnx(run.model, tmp_path / "m.onnx")
    runner = load(tmp_path / "m.onnx")
    runner(np.full((2, SIZE, SIZE, 3), 0.5, "float32"))
    assert said(caplog) == []
    runner = load(tmp_path / "m.onnx")
    with caplog.at_level(logging.WARNING):
        runner(np.full((2, SIZE, SIZE, 3), 200.0, "float32"))
        runner(np.full((2, SIZE, SIZE, 3), 200.0, "float32"))
    (record,) = caplog.records
    assert "lie between 200 and 200, and values from -1 to 1 (file)" in record.getMessage()
    stated = load(tmp_path / "m.onnx", value_range=(0, 255))
    assert stated.description.input.value_range.origin == "stated"


def test_a_model_that_says_nothing_is_trained_on_raw_pixels_with_a_line(photos, tmp_path, caplog):
    with caplog.at_level(logging.WARNING, "kattn"):
        run = kattn.train(plain(), data=photos, out=tmp_path / "run", overrides={"epochs": 1}, verbose=False)
    assert "mine: nothing says which values it takes: it is given raw pixels" in caplog.text
    assert run.config["facts"]["value_range"] == [0, 255]
    assert kattn.describe(run.path).input.value_range.value == (0, 255)


def test_floats_train_as_they_are_and_mistakes_are_refused(tmp_path):
    images, classes = coloured(60)
    unit, recipe = images / np.float32(255), {"epochs": 1, "flip": True}
    run = kattn.train(plain(), data=(unit, classes), out=tmp_path / "a", overrides=recipe, verbose=False)
    assert "value_range" not in run.config["facts"]
    with pytest.raises(ValueError, match=r"lie between 0 and 1, and raw pixels from 0 to 255 \(measured"):
        kattn.train(plain(L.Rescaling(1 / 255)), data=(unit, classes), out=tmp_path / "b", verbose=False)
    with pytest.raises(ValueError, match="takes raw pixels"):
        kattn.train("resnet20", data="digits", value_range=(0, 1), out=tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_labels_name_the_classes_of_arrays(tmp_path):
    names = ["red", "green", "blue"]
    run = kattn.train(
        plain(), data=coloured(30), labels=names, out=tmp_path / "run", overrides={"epochs": 1}, verbose=False
    )
    assert list(run.evaluation.per_class) == names
    assert kattn.describe(run.path).output.labels.value == tuple(names)
    with pytest.raises(ValueError, match="has 3 classes"):
        kattn.train(plain(), data=coloured(30), labels=names[:2], out=tmp_path / "b")
