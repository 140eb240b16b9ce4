import re

import keras
import numpy as np
import pytest
from support.training import tiny_model

from kattn.runs.folder import BEST, CONFIG, LAST, METRICS, MODEL, RunError, RunFolder
from kattn.runs.opening import ARTEFACT, KERAS, RUN, kind_of, load_keras, open_model


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a finished run, as kattn.train leaves it."""
    folder = RunFolder(tmp_path_factory.mktemp("opening") / "run")
    model = tiny_model(size=4, classes=2)
    folder.start(clear=False)
    folder.write_json(CONFIG, {"recipe": {"select": "last"}, "data": {"class_names": ["ant", "bee"]}})
    (folder.path / MODEL).write_text(model.to_json())
    folder.write_weights(LAST, model)
    model.set_weights([0.5 * weight for weight in model.get_weights()])
    folder.write_weights(BEST, model)
    folder.write_model(model)
    folder.write_json(METRICS, {"top1": 0.5})
    return folder


def test_a_run_is_opened_with_its_model_and_what_it_learned(run):
    opened = open_model(str(run.path))
    assert (opened.kind, opened.name, opened.path, opened.runner) == (RUN, str(run.path), run.path, None)
    assert opened.class_names == ["ant", "bee"]
    assert opened.config == run.config()
    best = open_model(run.path, weights="best").model
    np.testing.assert_allclose(best.get_weights()[0], 0.5 * opened.model.get_weights()[0])


def test_a_run_that_is_not_finished_is_opened_only_when_asked_for(run, tmp_path):
    for name in (CONFIG, MODEL, LAST):
        (tmp_path / name).write_bytes((run.path / name).read_bytes())
    with pytest.raises(RunError, match="holds a run that is not finished"):
        open_model(tmp_path)
    assert open_model(tmp_path, unfinished=True).model.name == "tiny"
    (tmp_path / LAST).unlink()
    with pytest.raises(RunError, match="no epoch of the run has ended"):
        open_model(tmp_path, unfinished=True)


def test_a_keras_file_is_opened_without_a_run_around_it(run):
    opened = open_model(run.path / "model.keras")
    assert (opened.kind, opened.config, opened.class_names) == (KERAS, None, None)
    assert opened.model.output_shape == (None, 2)


def test_an_exported_file_has_a_runner_in_place_of_a_model(tmp_path):
    from kattn.export import saved_model

    saved_model(tiny_model(size=4), tmp_path / "saved")
    assert kind_of(tmp_path / "saved") == ARTEFACT
    opened = open_model(tmp_path / "saved", kinds=(ARTEFACT,))
    assert (opened.model, opened.runner.format) == (None, "saved_model")
    with pytest.raises(
        ValueError, match=r"saved cannot be used here\. Expected: the folder of a run, a \.keras or \.h5 file or"
    ):
        open_model(tmp_path / "saved")


def test_a_name_of_the_zoo_is_opened_by_building_it():
    opened = open_model("resnet20", kinds=("zoo",))
    assert (opened.kind, opened.path, opened.model.name) == ("zoo", None, "resnet20")


@pytest.mark.parametrize(
    ("source", "kinds", "message"),
    [
        ("runs/none", ("run", "zoo"), r"There is no runs/none\. Expected: the folder of a run or the name of a model"),
        (
            "none.keras",
            ("run", "keras"),
            r"There is no none\.keras\. Expected: the folder of a run or a \.keras or \.h5 file\.",
        ),
        ("resnet20", ("run",), r"There is no resnet20\. Expected: the folder of a run\."),
        ("resnt20", ("run", "zoo"), "There is no file or folder resnt20. Unknown model 'resnt20'. Closest: resnet20"),
    ],
)
def test_what_is_not_there_is_named_with_what_was_expected(source, kinds, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        open_model(source, kinds=kinds)


def test_what_is_there_and_no_model_is_named_too(tmp_path):
    (tmp_path / "notes.txt").write_text("no model")
    for path in (tmp_path, tmp_path / "notes.txt"):
        message = (
            f"{path} is no model. Expected: the folder of a run, a .keras or .h5 file or an exported file (SavedModel"
        )
        with pytest.raises(ValueError, match=re.escape(message)):
            open_model(path, kinds=(RUN, KERAS, ARTEFACT))


@pytest.mark.parametrize("content", [b"no model", b"PK\x05\x06" + bytes(18)], ids=["text", "empty zip"])
def test_a_file_that_is_no_keras_file_is_one_clear_error(content, tmp_path):
    (tmp_path / "m.keras").write_bytes(content)
    with pytest.raises(ValueError, match=r"m\.keras is not a readable \.keras file"):
        load_keras(tmp_path / "m.keras")


def test_layers_of_kattn_are_known_when_a_file_is_read(tmp_path):
    from kattn.layers import SqueezeExcite

    inputs = keras.Input((4, 4, 8))
    keras.Model(inputs, SqueezeExcite(2)(inputs)).save(tmp_path / "m.keras")
    assert any(isinstance(layer, SqueezeExcite) for layer in load_keras(tmp_path / "m.keras").layers)
