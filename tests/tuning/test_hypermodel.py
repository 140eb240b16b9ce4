"""KerasTuner takes the search space as a HyperModel, with labels of either kind."""

import re

import keras
import keras_tuner
import numpy as np
import pytest
from support import TESTS
from support.training import EAGER, arrays

from kattn.tuning import AttentionHyperModel, hypermodel
from kattn.tuning.hypermodel import crossentropy

SMALL = {"depths": (1, 1, 1), "widths": (8, 8, 16)}


def test_keras_tuner_takes_the_hyper_model(tmp_path):
    space = {"depths": [[1, 1, 1]], "reduction": [4, 8]}
    model = AttentionHyperModel("resnet20", ("se", "eca"), space, input_shape=(8, 8, 3), classes=3)
    hp = keras_tuner.HyperParameters()
    assert model.build(hp).name == "se_resnet20"
    assert set(hp.values) == {"mechanism", "depths", "reduction"}
    hp.values["mechanism"] = "eca"
    built = model.build(hp)
    assert built.name == "eca_resnet20" and built.optimizer is not None and built.output_shape == (None, 3)
    with pytest.raises(ValueError, match="mechanisms is a list"):
        AttentionHyperModel("resnet20", "se")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("one_hot", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_program_of_the_page_runs_to_its_end(one_hot, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(keras.Model, "run_eagerly", EAGER)
    create = hypermodel.create
    monkeypatch.setattr(hypermodel, "create", lambda name, **options: create(name, **{**options, **SMALL}))
    page = (TESTS.parent / "docs" / "tuning.md").read_text()
    (program,) = [code for code in re.findall(r"```python\n(.*?)```", page, re.S) if "AttentionHyperModel" in code]
    images, labels = arrays(40, size=32, classes=10)
    known = {"images": images, "labels": np.eye(10, dtype="float32")[labels] if one_hot else labels}
    exec(program.replace("epochs=3", "epochs=1").replace("max_trials=4", "max_trials=2"), known)
    trials = known["tuner"].oracle.trials.values()
    assert [trial.status for trial in trials] == ["COMPLETED"] * 2
    assert all(0 <= trial.score <= 1 for trial in trials)


def test_class_numbers_are_smoothed_and_rows_taken_as_they_are():
    predictions = np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]], "float32")
    smoothed = 0.9 * np.eye(3, dtype="float32")[[0, 2]] + 0.1 / 3
    expected = -(smoothed * np.log(predictions)).sum(-1)
    loss = crossentropy(0.1)
    for labels in (np.array([0, 2]), np.array([[0], [2]]), smoothed):
        np.testing.assert_allclose(np.asarray(loss(keras.ops.convert_to_tensor(labels), predictions)), expected, 1e-5)
