"""Whole runs, on a network that trains in a second."""

import json
import os

import keras
import numpy as np
import pytest
from support.runs import RECIPE, SHORT, At, run, same_result
from support.training import arrays, tiny_model, two_output_model

from kattn.data.errors import DataError
from kattn.evaluation.evaluation import evaluate
from kattn.evaluation.metrics import AttributeEvaluation
from kattn.runs.folder import RunError, RunFolder
from kattn.training.recipes import load_recipe
from kattn.training.run import open_run, train


def test_a_run_leaves_all_its_files_and_learns(straight):
    files = {file.name for file in straight.path.iterdir()}
    expected = {"config.json", "model.json", "history.csv", "best.weights.h5", "last.weights.h5", "model.keras"}
    assert files == expected | {"images.npz", "metrics.json"}
    assert [row["epoch"] for row in straight.history] == [1, 2, 3, 4]
    assert straight.history[-1]["loss"] < straight.history[0]["loss"]
    assert straight.history[-1]["learning_rate"] < straight.history[1]["learning_rate"]
    assert json.loads((straight.path / "metrics.json").read_text())["top1"] == straight.evaluation.top1


def test_the_config_holds_what_repeats_the_run(straight):
    config = straight.config
    assert config == RunFolder(straight.path).config()
    assert config["seed"] == 0
    assert config["recipe"]["epochs"] == 4
    assert config["data"]["images"] == {"train": 42, "validation": 6, "test": 12}
    assert set(config["data"]["fingerprint"]) == {"train", "validation", "test"}
    assert {"python", "keras", "numpy", "kattn"} <= set(config["versions"])


def test_the_same_seed_gives_the_same_run_and_another_another(straight, tmp_path):
    same_result(straight, run(tmp_path / "again"))
    assert run(tmp_path / "other", seed=1).history != straight.history


def test_a_finished_run_opens_again_with_its_weights(straight):
    opened = open_run(straight.path)
    same_result(straight, opened)
    assert str(opened.evaluation) == str(straight.evaluation)


def test_a_finished_run_is_not_overwritten_unasked(tmp_path):
    out = tmp_path / "r"
    run(out, recipe=SHORT)
    (out / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match=r"holds a finished run.*overwrite=True"):
        run(out, recipe=SHORT)
    with pytest.raises(ValueError, match="Unknown field of a recipe 'epoch'"):
        run(out, recipe={**SHORT, "epoch": 1}, overwrite=True)
    with pytest.raises(DataError, match="out of range"):
        run(out, recipe=SHORT, overwrite=True, model=tiny_model(classes=2))
    assert open_run(out).config["seed"] == 0
    assert len(run(out, recipe=SHORT, overwrite=True, seed=5).history) == 1
    assert RunFolder(out).config()["seed"] == 5
    assert (out / "notes.txt").read_text() == "mine"


def test_a_second_training_in_a_folder_is_refused_at_once_with_who_is_there(tmp_path, straight):
    """With resume and overwrite too; what the first one writes is its own."""
    out, said = tmp_path / "r", []

    def second():
        for options in ({}, {"resume": True}, {"overwrite": True, "seed": 7}):
            with pytest.raises(RunError, match=rf"in use by process {os.getpid()} on .*, since .*\(out=\)") as caught:
                run(out, **options)
            said.append(caught)

    same_result(straight, run(out, callbacks=[At(1, second)]))
    assert len(said) == 3 and not (out / ".lock").exists()


def test_a_run_is_written_to_the_folder_that_a_link_leads_to(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "r").symlink_to(tmp_path / "disk")
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "disk" / ".lock").symlink_to(tmp_path / "mine")
    with pytest.raises(RunError, match=r"cannot be written: .*\.lock is a symbolic link"):
        run(tmp_path / "r", recipe=SHORT)
    (tmp_path / "disk" / ".lock").unlink()
    run(tmp_path / "r", recipe=SHORT)
    assert (tmp_path / "mine").read_text() == "mine"
    assert open_run(tmp_path / "disk").config["recipe"]["epochs"] == 1


def test_a_run_that_is_not_finished_does_not_open(stopped_run):
    with pytest.raises(RunError, match="no finished run"):
        open_run(stopped_run)


def test_averaged_weights_are_those_that_are_kept(tmp_path):
    seen = {}

    def look(epoch, logs):
        seen["raw"] = [np.array(v) for v in model.trainable_variables]
        seen["average"] = [np.array(v) for v in model.optimizer.variables if "average" in v.path]

    model = tiny_model(classes=3)
    callbacks = [keras.callbacks.LambdaCallback(on_epoch_end=look)]
    run(tmp_path / "r", model=model, recipe={**SHORT, "ema": 0.9}, callbacks=callbacks)
    kept = [np.array(v) for v in RunFolder(tmp_path / "r").load_model().trainable_variables]
    assert len(seen["average"]) == len(kept)
    assert all(np.allclose(a, b) for a, b in zip(kept, seen["average"], strict=True))
    assert not any(np.allclose(a, b) for a, b in zip(kept, seen["raw"], strict=True))


def test_both_outputs_of_an_attention_branch_network_are_trained(tmp_path):
    model = two_output_model(classes=3, attention_map=True)
    done = run(tmp_path / "r", model=model, recipe={**RECIPE, "select": "best"})
    assert {"predictions_accuracy", "attention_predictions_accuracy", "val_predictions_loss"} <= set(done.history[0])
    best = max(done.history, key=lambda row: (row["val_predictions_accuracy"], -row["val_predictions_loss"]))
    kept = RunFolder(tmp_path / "r").load_model("best")
    found = evaluate(kept, arrays(60), split="validation")
    assert found.top1 == pytest.approx(best["val_predictions_accuracy"], abs=1e-6)


def test_without_validation_images_the_last_epoch_is_the_best(tmp_path):
    done = run(tmp_path / "r", recipe={**RECIPE, "epochs": 2, "select": "best"}, validation=0)
    assert not any(name.startswith("val_") for name in done.history[0])
    weights = [RunFolder(done.path).load_model(which).get_weights() for which in ("best", "last")]
    assert all(np.array_equal(a, b) for a, b in zip(*weights, strict=True))


def test_a_name_of_the_zoo_is_built_for_the_data(tmp_path):
    policy = keras.config.dtype_policy().name
    done = train(
        "resnet20",
        data="digits",
        image_size=8,
        limit=20,
        recipe={**SHORT, "batch_size": 10},
        options={"depths": (1, 1, 1)},
        precision="mixed_bfloat16",
        out=tmp_path / "r",
        verbose=False,
    )
    assert done.model.output.dtype == "float32"
    assert "bfloat16" in {layer.compute_dtype for layer in done.model.layers}
    assert keras.config.dtype_policy().name == policy
    assert done.model.input_shape == (None, 8, 8, 3)
    assert done.model.output_shape == (None, 10)
    assert done.config["model"] == "resnet20"
    assert evaluate(tmp_path / "r", limit=20).confusion == done.evaluation.confusion


# images with several attributes


def attributes(count=60, seed=0):
    """Images whose top and bottom halves are bright or dark, each for itself; third attribute: both are bright."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, (count, 2))
    images = rng.integers(0, 60, (count, 8, 8, 3))
    images[:, :4] += 150 * labels[:, 0, None, None, None]
    images[:, 4:] += 150 * labels[:, 1, None, None, None]
    return images.astype("uint8"), np.column_stack([labels, labels.all(axis=1)])


def test_a_run_on_attributes_learns_them_and_opens_again(tmp_path):
    keras.utils.set_random_seed(0)
    model = tiny_model(classes=3, dropout=0.0)
    model = keras.Model(model.input, keras.layers.Dense(3, "sigmoid")(model.layers[-2].output), name="tiny")
    recipe = {"epochs": 12, "batch_size": 8, "learning_rate": 0.1, "label_smoothing": 0.02}
    done = train(model, data=attributes(120), recipe=recipe, out=tmp_path / "run", verbose=False)
    assert isinstance(done.evaluation, AttributeEvaluation)
    assert done.evaluation.accuracy > 0.8
    assert done.evaluation.attributes == 3
    assert "3 attributes, accuracy" in str(done.evaluation)
    assert open_run(done.path).evaluation == done.evaluation
    assert done.history[-1]["loss"] < done.history[0]["loss"]


@pytest.mark.slow
def test_an_attention_branch_network_gets_one_probability_an_attribute(tmp_path):
    recipe = load_recipe("quick", {"epochs": 1, "batch_size": 8})
    options = {"depths": (1, 1, 1), "widths": (4, 4, 8)}
    done = train(
        "abn_resnet20",
        data=attributes(24),
        recipe=recipe,
        options=options,
        out=tmp_path / "run",
        limit=8,
        verbose=False,
    )
    answers = done.model.predict(attributes(2)[0], verbose=0)
    shapes = {name: answer.shape for name, answer in answers.items()}
    assert shapes == {"predictions": (2, 3), "attention_predictions": (2, 3)}
    assert np.abs(answers["predictions"].sum(axis=1) - 1).max() > 1e-3
