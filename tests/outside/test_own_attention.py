"""Attention of one's own from a file outside the checkout: runs, searches, and what reads them without it."""

import json

import keras
import pytest

import kattn
from kattn.cli.main import main
from kattn.startup import import_file
from kattn.zoo.attentions import named

OWN = """
import keras, kattn

@keras.saving.register_keras_serializable("outside")
class OutsideGate(keras.Layer):
    def __init__(self, factor=1.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def build(self, shape):
        self.scale = self.add_weight(name="scale", shape=(shape[-1],), initializer="ones")

    def call(self, x):
        return self.factor * x * self.scale

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}

kattn.zoo.register("outside", OutsideGate)
"""
SMALL = ["--limit", "60", "--epochs", "1", "--data", "digits"]


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    file = tmp_path_factory.mktemp("own") / "outside_gate.py"
    file.write_text(OWN)
    yield file
    named.REGISTERED.clear()


@pytest.fixture(scope="module")
def run(own, tmp_path_factory):
    """A run of the command line."""
    folder = tmp_path_factory.mktemp("run") / "run"
    words = [
        "train",
        "outside_resnet20",
        *SMALL,
        "--set",
        "depths=(1,1,1)",
        "--set",
        "factor=0.5",
        "--out",
        str(folder),
    ]
    assert main([*words, "--import", str(own)]) == 0
    return folder


def test_a_run_is_opened_where_the_class_is_registered(run):
    found = kattn.training.open_run(run)
    assert found.config["model"] == "outside_resnet20" and found.config["options"]["factor"] == 0.5
    assert found.model.get_layer("stage1_block1_outside_gate").factor == 0.5


def test_where_it_is_not_the_error_says_what_to_import(run, capsys, monkeypatch):
    monkeypatch.delitem(keras.saving.get_custom_objects(), "outside>OutsideGate")
    assert main(["evaluate", str(run)]) == 1
    said = capsys.readouterr().err
    assert "outside>OutsideGate is not registered in this process" in said and "--import my_layers.py" in said


@pytest.mark.slow
def test_a_class_given_as_an_option_is_recorded_by_its_name(own, run, tmp_path):
    kind = keras.saving.get_registered_object("outside>OutsideGate")
    options = {"attention": ("bam", kind), "depths": (1, 1, 1)}
    asked = {"limit": 60, "overrides": {"epochs": 1}, "verbose": False, "out": tmp_path / "run", "options": options}
    found = kattn.train("resnet20", **asked)
    assert found.config["options"]["attention"] == ["bam", "residual=outside>OutsideGate"]
    assert kattn.train("resnet20", resume=True, **asked).evaluation.top1 == found.evaluation.top1


def test_a_comparison_asks_for_a_name(own, run):
    kind = keras.saving.get_registered_object("outside>OutsideGate")
    with pytest.raises(ValueError, match=r"which know attention by its name. Register it"):
        kattn.compare([("resnet20", {"attention": kind})])


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_search_looks_among_its_options_and_others(own, tmp_path, workers):
    import_file(str(own))
    space = ["--space", "mechanism=outside,none", "factor=0.5,2.0"]
    out = tmp_path / "search"
    words = ["tune", "outside_resnet20", *SMALL, *space, "--out", str(out), "--workers", str(workers)]
    assert main([*words, "--import", str(own)]) == 0
    assert json.loads((out / "search.json").read_text())["imports"] == [str(own)]
    trials = [json.loads(file.read_text()) for file in out.glob("trials/*/trial.json")]
    assert sorted(str(one["values"].get("factor")) for one in trials) == ["0.5", "2.0", "None"]
