"""Trials below the median of the others are ended."""

import keras
import pytest
from support.searching import pretend
from support.training import EAGER, arrays, tiny_model

from kattn.runs.folder import RunFolder
from kattn.training.run import train
from kattn.tuning.pruning import MedianPruner, Pruned


def write(folder, accuracies):
    folder.mkdir()
    RunFolder(folder).write_history([{"epoch": i, "val_accuracy": value} for i, value in enumerate(accuracies)])


@pytest.mark.parametrize(("own", "ends"), [(0.4, True), (0.5, False), (0.6, False)])
def test_a_trial_below_the_median_is_ended(tmp_path, own, ends):
    for name, accuracies in {"a": [0.1, 0.4, 0.9], "b": [0.1, 0.6], "c": [0.9]}.items():
        write(tmp_path / name, accuracies)
    write(tmp_path / "own", [0.1, own])
    pruner = MedianPruner(RunFolder(tmp_path / "own"), epochs=3)
    if ends:
        with pytest.raises(Pruned):
            pruner.on_epoch_end(1)
    else:
        pruner.on_epoch_end(1)
    MedianPruner(RunFolder(tmp_path / "own"), epochs=2).on_epoch_end(1)  # it is over anyway


def test_ended_in_the_middle_of_a_run_and_again_when_that_is_resumed(tmp_path, monkeypatch):
    monkeypatch.setattr(keras.Model, "run_eagerly", EAGER)
    for name in ("a", "b"):
        write(tmp_path / name, [2.0, 2.0])  # nothing gets there
    recipe = {"epochs": 3, "batch_size": 8}
    for resume in (False, True):
        pruner = MedianPruner(RunFolder(tmp_path / "own"), epochs=3)
        with pytest.raises(Pruned):
            train(
                tiny_model(classes=3),
                data=arrays(60),
                recipe=recipe,
                out=tmp_path / "own",
                callbacks=[pruner],
                resume=resume,
                verbose=False,
            )
        assert len(RunFolder(tmp_path / "own").history()) == 1


def test_a_pruned_trial_is_listed_and_never_the_best(pretended, tmp_path):
    found = pretend(tmp_path / "s", space={"reduction": [9, 12, 30, 8, 20]}, prune=True)
    assert [(row["reduction"], row["status"], row["epochs"]) for row in found.trials] == [
        (9, "completed", 9),
        (12, "completed", 9),
        (30, "pruned", 1),
        (8, "completed", 9),
        (20, "pruned", 1),
    ]
    assert found.best["values"] == {"reduction": 8}
    assert not any(row["front"] for row in found.trials if row["status"] == "pruned")
