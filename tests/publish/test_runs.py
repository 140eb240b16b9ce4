"""Runs go into the table of results, and weights into the package, only as one command repeats them."""

import hashlib

import numpy as np
import pytest

import kattn
from kattn.publish import checkout, results, trained_weights
from kattn.publish.__main__ import main
from kattn.publish.repeating import command
from kattn.publish.results import Result
from kattn.zoo.weights import manifest

OPTIONS = {"depths": (1, 1, 1), "widths": (8, 8, 16)}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    return kattn.train(
        "se_resnet20", data="digits", options=OPTIONS, overrides={"epochs": 2}, out=folder, verbose=False
    )


@pytest.fixture
def package(monkeypatch, tmp_path):
    """A package of its own to write into."""
    (tmp_path / "zoo" / "weights" / "trained").mkdir(parents=True)
    monkeypatch.setattr(checkout, "root", lambda: tmp_path)
    return tmp_path / "zoo"


@pytest.mark.slow
def test_a_run_becomes_a_row_its_history_and_weights_that_load(run, package):
    arguments = ["--weights", "--machine", "a test's", "--note", "Digits, not CIFAR."]
    assert main(["runs", str(run.path), *arguments]) == 0
    (row,) = results.results()
    assert row.command == (
        "kattn train se_resnet20 --data digits --recipe quick --epochs 2 --set 'depths=[1, 1, 1]' "
        "--set 'widths=[8, 8, 16]' --seed 0"
    )
    assert row.run == ("se_resnet20", "digits", "quick", 2, 0)
    assert row.top1 == round(100 * run.evaluation.accuracy, 2) and abs(row.onnx - row.top1) < 0.3
    assert row.parameters == sum(w.shape.num_elements() for w in run.model.trainable_weights)
    assert row.images == run.config["data"]["images"]["train"] and row.steps == 2 * (row.images // 32)
    epochs = results.history()
    assert [one.epoch for one in epochs] == [1, 2]
    assert epochs[1].val_accuracy == pytest.approx(run.history[1]["val_accuracy"], abs=1e-6)
    (entry,) = manifest.read((package / "weights" / manifest.TRAINED).read_text())
    file = package / "weights" / entry.file
    assert entry.hash == f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"
    assert (entry.tag, entry.recipe, entry.seed, entry.default) == ("digits.kattn", "quick", 0, True)
    assert entry.command == row.command and "Digits, not CIFAR." in entry.note and "keras" in entry.note
    results.add(row, results.history())  # the same run once more takes its own place
    assert len(results.results()) == 1 and len(results.history()) == 2
    again = kattn.zoo.se_resnet20(weights=file, input_shape=(16, 16, 3), **OPTIONS)
    images = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3)).astype("float32")
    np.testing.assert_allclose(again.predict(images, verbose=0), run.model.predict(images, verbose=0), atol=5e-3)
    assert sorted(path.name for path in package.rglob("*") if path.is_file()) == sorted(
        ["RESULTS.csv", "results_history.csv", "weights.toml", file.name]
    )
    assert trained_weights.store(run, "Stored anew.") == trained_weights.stored()[0]
    assert len(trained_weights.stored()) == 1 and "Stored anew." in trained_weights.stored()[0]["note"]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("recipe", "learning_rate"), 0.3, "differs from the recipe quick in learning_rate"),
        (("recipe", "name"), "own", "not of a committed recipe: Unknown recipe 'own'"),
        (("data", "limit"), 100, "limit=100"),
        (("data", "spec"), None, "data=None"),
        (("data", "settings", "validation"), 0.5, "validation=0.5"),
    ],
)
def test_a_run_that_no_command_repeats_is_refused(run, path, value, message):
    config = {**run.config, "recipe": {**run.config["recipe"]}, "data": {**run.config["data"]}}
    config["data"]["settings"] = {**config["data"]["settings"]}
    inner = config
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with pytest.raises(ValueError, match=message):
        command(config)


def test_the_command_says_the_precision(run):
    assert "--precision" not in command(run.config)
    assert "--precision mixed_bfloat16" in command({**run.config, "precision": "mixed_bfloat16"})


def test_a_folder_without_a_finished_run_is_refused_before_anything_is_written(run, package, tmp_path, capsys):
    assert main(["runs", str(run.path), str(tmp_path / "none"), "--machine", "a test's"]) == 1
    assert "holds no finished run" in capsys.readouterr().err
    assert results.results() == []


def test_rows_are_ordered_and_a_run_is_there_once():
    row = {field: 0 for field in Result.__dataclass_fields__} | {"model": "b", "data": "d", "recipe": "r"}
    first, second, better = (Result(**row | {"seed": seed, "top1": top1}) for seed, top1 in ((1, 5), (0, 6), (1, 7)))
    assert results.merged([first], [second, better]) == [second, better]
