"""Files that an earlier kattn wrote are opened, resumed and evaluated: see tests/support/write_before.py."""

import json
import shutil
import zipfile

import keras
import numpy as np
import pytest
from support import TESTS
from support.write_before import OPTIONS, SEARCH, TRAINING

import kattn
from kattn.training.settings import NUMERICS

FILES = TESTS / "data" / "before" / "files.zip"


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    """The files; a test that changes some copies them."""
    folder = tmp_path_factory.mktemp("before")
    with zipfile.ZipFile(FILES) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def answers(before):
    """Four images, and what the model of the files answered for them."""
    with np.load(before / "answers.npz") as arrays:
        return arrays["images"], arrays["answers"]


def test_a_keras_file_gives_the_same_answers(before, answers):
    images, expected = answers
    model = keras.saving.load_model(before / "model.keras")
    np.testing.assert_allclose(model.predict_on_batch(images.astype("float32")), expected, atol=1e-5)
    assert {type(layer).__module__.partition(".")[0] for layer in model.layers} == {"keras", "kattn"}


def test_a_file_of_weights_fills_a_model_of_today(before, answers):
    images, expected = answers
    path = before / "model.weights.h5"
    model = kattn.zoo.create("cbam_resnet20", weights=path, input_shape=(16, 16, 3), **OPTIONS)
    np.testing.assert_allclose(model.predict_on_batch(images.astype("float32")), expected, atol=1e-5)


def test_an_exported_file_gives_the_same_answers_and_its_certificate_is_read(before, answers):
    images, expected = answers
    np.testing.assert_allclose(kattn.export.load(before / "model.tflite")(images)["predictions"], expected, atol=1e-5)
    report = json.loads((before / "model.tflite.json").read_text())
    model = keras.saving.load_model(before / "model.keras")
    today = kattn.export.tflite(model, before / "today.tflite").to_dict()
    assert report.keys() <= today.keys()
    same = ("format", "precision", "inputs", "tolerance", "images")
    assert {name: report[name] for name in same} == {name: today[name] for name in same}
    for name, output in report["outputs"].items():
        assert output.items() <= today["outputs"][name].items()


@pytest.mark.parametrize("path", ["finished_run", "finished_run/model.keras"])
def test_a_run_gives_the_numbers_that_it_recorded(before, path):
    recorded = json.loads((before / "finished_run" / "metrics.json").read_text())
    data = {} if path == "finished_run" else {"data": "digits", "limit": TRAINING["limit"]}
    found = kattn.evaluate(before / path, **data).to_dict()
    assert found.pop("model") == str(before / path)
    del recorded["model"]
    assert found.pop("loss") == pytest.approx(recorded.pop("loss"), rel=1e-4)
    assert found.pop("calibration_error") == pytest.approx(recorded.pop("calibration_error"), rel=1e-3)
    assert {name: found[name] for name in recorded} == recorded


def test_an_exported_file_of_a_run_gives_the_numbers_that_the_run_recorded(before, tmp_path):
    run = kattn.training.open_run(before / "finished_run")
    kattn.export.tflite(run.model, tmp_path / "m.tflite")
    found = kattn.evaluate(tmp_path / "m.tflite", "digits", limit=TRAINING["limit"])
    assert found.loss == pytest.approx(run.evaluation.loss, rel=1e-4)
    assert found.confusion == run.evaluation.confusion


def test_a_stopped_run_that_was_trained_otherwise_is_refused_with_the_reason_and_left_alone(before, tmp_path):
    out = shutil.copytree(before / "stopped_run", tmp_path / "stopped_run")
    files = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(kattn.training.RunError, match=r"computed otherwise.*momentum as in torch.*overwrite=True"):
        kattn.train("se_resnet20", out=out, resume=True, verbose=False, **TRAINING)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == files
    assert kattn.evaluate(out).images == TRAINING["limit"]


def test_the_state_of_a_stopped_run_is_one_that_todays_runs_go_on_from(before, tmp_path):
    """Written by a kattn that computed otherwise, so the result is another one; but every file is read."""
    out = shutil.copytree(before / "stopped_run", tmp_path / "stopped_run")
    config = json.loads((out / "config.json").read_text())
    config |= {"numerics": NUMERICS, "recipe": config["recipe"] | {"convention": "caffe"}}
    (out / "config.json").write_text(json.dumps(config))
    settings = TRAINING | {"overrides": TRAINING["overrides"] | {"convention": "caffe"}}
    run = kattn.train("se_resnet20", out=out, resume=True, verbose=False, **settings)
    whole = kattn.training.open_run(before / "finished_run")
    assert run.history[0] == whole.history[0]
    assert run.history[1]["learning_rate"] == whole.history[1]["learning_rate"]
    assert run.history[1]["loss"] == pytest.approx(whole.history[1]["loss"], rel=1e-2)


@pytest.mark.slow
def test_a_stopped_search_goes_on_with_the_trial_that_it_lacks(before, tmp_path):
    out = shutil.copytree(before / "search", tmp_path / "search")
    trained = {path: path.stat().st_mtime_ns for path in out.glob("trials/*/metrics.json")}
    found = kattn.tune("se_resnet20", out=out, resume=True, verbose=False, **SEARCH)
    assert sorted(row["reduction"] for row in found.trials) == [1, 2, 4]
    assert all(row["status"] == "completed" for row in found.trials)
    assert len(trained) == 2 and {path: path.stat().st_mtime_ns for path in trained} == trained
