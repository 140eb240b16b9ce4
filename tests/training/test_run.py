"""Whole runs, on a network that trains in a second."""

import importlib.util
import json
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest
from support import TESTS
from support.training import BACKENDS, arrays, tiny_model, two_output_model, without_tensorflow

import kattn.runs.folder
from kattn.data.errors import DataError
from kattn.evaluation.evaluation import evaluate
from kattn.runs.folder import RunError, RunFolder
from kattn.training.callbacks import TrainingDiverged
from kattn.training.run import open_run, train

RECIPE = {
    "epochs": 4,
    "batch_size": 8,
    "learning_rate": 0.05,
    "weight_decay": 1e-3,
    "warmup_epochs": 1.0,
    "label_smoothing": 0.1,
    "shift": 0.125,
    "flip": True,
}


class At(keras.callbacks.Callback):
    """Do something in the middle of the epoch with this number (from 0)."""

    def __init__(self, epoch, action):
        super().__init__()
        self.wanted, self.action, self.epoch = epoch, action, -1

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if self.epoch == self.wanted and batch == 2:
            self.action()


def run(out, *, model=None, recipe=RECIPE, **options):
    keras.utils.set_random_seed(11)  # the initial weights of a model that is passed in are the caller's
    model = model or tiny_model(classes=3)
    return train(model, data=arrays(60), recipe=recipe, out=out, verbose=False, **options)


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """An uninterrupted run."""
    return run(tmp_path_factory.mktemp("runs") / "straight")


def same_result(one, other):
    """The same history to the last digit, and the same weights to the last bit."""
    assert (one.path / "history.csv").read_text() == (other.path / "history.csv").read_text()
    assert one.evaluation.to_dict() == other.evaluation.to_dict()
    for a, b in zip(one.model.get_weights(), other.model.get_weights(), strict=True):
        assert np.array_equal(a, b)


def test_a_run_leaves_all_its_files_and_learns(straight):
    files = {file.name for file in straight.path.iterdir()}
    expected = {"config.json", "model.json", "history.csv", "best.weights.h5", "last.weights.h5", "model.keras"}
    assert files == expected | {"metrics.json"}
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


def test_a_run_begun_before_a_recipe_had_a_field_is_the_same_run(tmp_path):
    done = run(tmp_path / "r")
    file = tmp_path / "r" / "config.json"
    config = json.loads(file.read_text())
    assert config["recipe"].pop("crop") == 0.0
    file.write_text(json.dumps(config))
    same_result(done, run(tmp_path / "r", resume=True))
    with pytest.raises(RunError, match=r"recipe.crop was 0.0, is 0.5"):
        run(tmp_path / "r", recipe={**RECIPE, "crop": 0.5}, resume=True)


def test_a_finished_run_opens_again_with_its_weights(straight):
    opened = open_run(straight.path)
    same_result(straight, opened)
    assert str(opened.evaluation) == str(straight.evaluation)


def test_killed_in_the_middle_it_resumes_to_the_same_result(straight, tmp_path):
    script = (
        "import os, signal, sys\n"
        "sys.path.insert(0, sys.argv[2])\n"
        "from test_training import At, run\n"
        "run(sys.argv[1], callbacks=[At(2, lambda: os.kill(os.getpid(), signal.SIGKILL))])\n"
    )
    out = tmp_path / "killed"
    command = [sys.executable, "-c", script, str(out), str(TESTS)]
    assert subprocess.run(command, capture_output=True).returncode == -signal.SIGKILL
    assert not (out / "metrics.json").exists()
    assert [row["epoch"] for row in RunFolder(out).history()] == [1, 2]
    same_result(straight, run(out, resume=True))
    assert not (out / "state.npz").exists()


def test_killed_between_the_files_of_an_epoch_it_repeats_that_epoch(straight, tmp_path, monkeypatch):
    def die(folder, arrays):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "write_state", die)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "r")
    assert len(RunFolder(tmp_path / "r").history()) == 1
    same_result(straight, run(tmp_path / "r", resume=True))


def interrupt():
    raise KeyboardInterrupt


def test_ctrl_c_says_how_to_go_on_and_resumes_to_the_same_result(straight, tmp_path, capsys):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "r", callbacks=[At(1, interrupt)])
    assert f"Stopped after 1 of 4 epochs; resume=True goes on in {tmp_path / 'r'}" in capsys.readouterr().out
    with pytest.raises(RunError, match=r"not finished.*resume=True goes on with it, overwrite=True"):
        run(tmp_path / "r")
    same_result(straight, run(tmp_path / "r", resume=True))


@pytest.mark.parametrize("changes", [{"ema": 0.8}, {"optimizer": "adamw", "accumulate": 2, "clip_norm": 1.0}])
def test_averages_and_accumulated_gradients_are_resumed_too(tmp_path, changes):
    recipe = {**RECIPE, "epochs": 3, **changes}
    whole = run(tmp_path / "whole", recipe=recipe)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "r", recipe=recipe, callbacks=[At(2, interrupt)])
    same_result(whole, run(tmp_path / "r", recipe=recipe, resume=True))


def test_half_precision_is_resumed_with_its_loss_scale(tmp_path):
    def half(**options):
        keras.utils.set_random_seed(11)
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy("mixed_float16")
        try:
            model = tiny_model(classes=3)
        finally:
            keras.config.set_dtype_policy(before)
        return run(tmp_path / "r", model=model, recipe={**RECIPE, "epochs": 2, "ema": 0.8}, **options), model

    whole, model = half()
    assert type(model.optimizer).__name__ == "LossScaleOptimizer"
    with pytest.raises(KeyboardInterrupt):
        half(overwrite=True, callbacks=[At(1, interrupt)])
    kept = RunFolder(tmp_path / "r").read_state()
    assert len(kept) - 1 == len(model.variables) + len(model.optimizer.variables)  # the scale and its counter are there
    again, _ = half(resume=True)
    assert again.history == whole.history
    for a, b in zip(again.model.get_weights(), whole.model.get_weights(), strict=True):
        assert np.array_equal(a, b)


def test_averaged_weights_are_those_that_are_kept(tmp_path):
    seen = {}

    def look(epoch, logs):
        seen["raw"] = [np.array(v) for v in model.trainable_variables]
        seen["average"] = [np.array(v) for v in model.optimizer.variables if "average" in v.path]

    model = tiny_model(classes=3)
    recipe = {**RECIPE, "epochs": 1, "warmup_epochs": 0.0, "ema": 0.9}
    run(tmp_path / "r", model=model, recipe=recipe, callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=look)])
    kept = [np.array(v) for v in RunFolder(tmp_path / "r").load_model().trainable_variables]
    assert len(seen["average"]) == len(kept)
    assert all(np.allclose(a, b) for a, b in zip(kept, seen["average"], strict=True))
    assert not any(np.allclose(a, b) for a, b in zip(kept, seen["raw"], strict=True))


def test_resume_starts_a_run_where_there_is_none_and_returns_a_finished_one(straight, tmp_path):
    same_result(straight, run(tmp_path / "r", resume=True))
    before = (tmp_path / "r" / "model.keras").stat().st_mtime_ns
    same_result(straight, run(tmp_path / "r", resume=True))
    assert (tmp_path / "r" / "model.keras").stat().st_mtime_ns == before


def test_a_finished_run_is_not_overwritten_unasked(straight, tmp_path):
    out = tmp_path / "r"
    short = {**RECIPE, "epochs": 1, "warmup_epochs": 0.0}
    run(out, recipe=short)
    (out / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match=r"holds a finished run.*overwrite=True"):
        run(out, recipe=short)
    with pytest.raises(ValueError, match="has no field"):
        run(out, recipe={**short, "epoch": 1}, overwrite=True)
    with pytest.raises(DataError, match="out of range"):
        run(out, recipe=short, overwrite=True, model=tiny_model(classes=2))
    assert open_run(out).config["seed"] == 0
    assert len(run(out, recipe=short, overwrite=True, seed=5).history) == 1
    assert RunFolder(out).config()["seed"] == 5
    assert (out / "notes.txt").read_text() == "mine"


def test_other_settings_do_not_resume(straight, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "r", callbacks=[At(1, interrupt)])
    with pytest.raises(RunError, match=r"other settings: recipe\.learning_rate was 0\.05, is 0\.1"):
        run(tmp_path / "r", recipe={**RECIPE, "learning_rate": 0.1}, resume=True)
    recipe = {name: value for name, value in RECIPE.items() if name != "flip"}
    with pytest.raises(RunError, match=r"other settings: recipe\.flip was True, is False"):
        run(tmp_path / "r", recipe=recipe, resume=True)
    with pytest.raises(RunError, match=r"other settings: data\.fingerprint\.train was"):
        train(tiny_model(classes=3), data=arrays(60, seed=1), recipe=RECIPE, out=tmp_path / "r", resume=True)


class Untrainable:
    """Fails the test when anything is trained."""

    def __call__(self, *args, **kwargs):
        raise AssertionError("training began")


@pytest.fixture
def no_training(monkeypatch):
    monkeypatch.setattr(keras.Model, "fit", Untrainable())


def test_a_folder_that_cannot_be_written_is_an_error_before_training(tmp_path, no_training):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"folder .* cannot be written: Not a directory"):
        run(tmp_path / "file" / "run")


@pytest.mark.parametrize(
    ("model", "options", "error", "message"),
    [
        ("afi_resnet2", {}, ValueError, "afi_resnet2"),
        (tiny_model(size=9), {"data": arrays(60)}, DataError, "images of 8x8, the model takes 9x9"),
        (tiny_model(channels=1), {"data": arrays(60)}, DataError, "images of 3 channels, the model takes 1"),
        (tiny_model(classes=2), {"data": arrays(60)}, DataError, "label 2 of image 2 is out of range"),
        (tiny_model(), {"data": (arrays(60)[0][:0], arrays(60)[1][:0])}, DataError, "is empty"),
        (tiny_model(), {"data": arrays(60, classes=1), "recipe": "quik"}, ValueError, "Unknown recipe"),
        (tiny_model(), {"options": {"reduction": 4}}, ValueError, "options go with a name of the zoo"),
        (tiny_model(), {"precision": "mixed_bfloat16"}, ValueError, "precision goes with a name of the zoo"),
        ("resnet20", {"precision": "half"}, ValueError, "precision must be one of float32, mixed_bfloat16"),
        (keras.Sequential(), {}, ValueError, "name of the zoo or a functional Keras model"),
        (
            keras.Model((x := keras.Input((4,))), keras.layers.Dense(2)(x)),
            {},
            ValueError,
            "does not take one batch of images",
        ),
        (lambda images: images, {}, ValueError, "Received: function"),
    ],
)
def test_what_does_not_fit_is_one_clear_error_before_training(tmp_path, no_training, model, options, error, message):
    with pytest.raises(error, match=message):
        train(model, out=tmp_path / "deep" / "run", verbose=False, **options)
    assert not (tmp_path / "deep").exists()


def test_a_loss_that_is_no_number_stops_with_a_hint_and_is_not_saved(tmp_path):
    with pytest.raises(TrainingDiverged, match=r"The loss became (nan|inf) in epoch 1, step \d+.*lower learning_rate"):
        run(tmp_path / "r", recipe={**RECIPE, "learning_rate": 1e35, "warmup_epochs": 0.0})
    assert not (tmp_path / "r" / "last.weights.h5").exists()


def test_a_full_disk_leaves_no_half_file_and_the_run_resumes(straight, tmp_path, monkeypatch):
    def full(model):
        class Full:
            def save_weights(self, path):
                path.write_bytes(b"half")
                raise OSError(28, "No space left on device")

        return Full()

    with monkeypatch.context() as patch:
        patch.setattr(kattn.runs.folder, "bare", full)
        with pytest.raises(RunError, match=r"weights\.h5 could not be written: No space left on device"):
            run(tmp_path / "r")
    assert {file.name for file in (tmp_path / "r").iterdir()} == {"config.json", "model.json"}
    same_result(straight, run(tmp_path / "r", resume=True))


def test_both_outputs_of_an_attention_branch_network_are_trained(tmp_path):
    done = run(
        tmp_path / "r", model=two_output_model(classes=3, attention_map=True), recipe={**RECIPE, "select": "best"}
    )
    assert {"predictions_accuracy", "attention_predictions_accuracy", "val_predictions_loss"} <= set(done.history[0])
    best = max(done.history, key=lambda row: (row["val_predictions_accuracy"], -row["val_predictions_loss"]))
    kept = RunFolder(tmp_path / "r").load_model("best")
    found = evaluate(kept, arrays(60), split="validation")
    assert found.top1 == pytest.approx(best["val_predictions_accuracy"], abs=1e-6)


def test_training_stops_when_patience_is_over_also_when_resumed(tmp_path):
    recipe = {
        **RECIPE,
        "epochs": 12,
        "learning_rate": 1e-9,
        "patience": 2,
        "label_smoothing": 0.0,
        "warmup_epochs": 0.0,
    }
    whole = run(tmp_path / "whole", recipe=recipe)
    assert len(whole.history) < 12
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "r", recipe=recipe, callbacks=[At(1, interrupt)])
    same_result(whole, run(tmp_path / "r", recipe=recipe, resume=True))


def test_without_validation_images_the_last_epoch_is_the_best(tmp_path):
    done = run(tmp_path / "r", recipe={**RECIPE, "epochs": 2, "select": "best"}, validation=0)
    assert not any(name.startswith("val_") for name in done.history[0])
    weights = [RunFolder(done.path).load_model(which).get_weights() for which in ("best", "last")]
    assert all(np.array_equal(a, b) for a, b in zip(*weights, strict=True))


def curves(folder):
    """What TensorBoard shows of a run: {"train/loss": [(epoch, value), ...], ...}."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = {}
    for part in ("train", "validation"):
        events = EventAccumulator(str(folder / "tensorboard" / part)).Reload()
        for tag in events.Tags()["scalars"]:
            found[f"{part}/{tag}"] = [(each.step, each.value) for each in events.Scalars(tag)]
    return found


def shows(folder):
    """TensorBoard shows every epoch of the history once."""
    found, rows = curves(folder), RunFolder(folder).history()
    assert {"train/loss", "train/accuracy", "train/learning_rate", "validation/loss"} <= set(found)
    for column in set(rows[0]) - {"epoch"}:
        name = f"validation/{column[4:]}" if column.startswith("val_") else f"train/{column}"
        expected = [(row["epoch"], pytest.approx(row[column], rel=1e-6)) for row in rows]
        assert found[name] == expected


def test_tensorboard_shows_every_epoch_once_also_of_a_run_that_was_killed(straight, tmp_path, monkeypatch):
    def die(folder, arrays):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "r", callbacks=[At(1, interrupt)])  # without the logs, which then begin with what there is
    write = RunFolder.write_state
    with monkeypatch.context() as patch:
        patch.setattr(
            RunFolder, "write_state", lambda self, arrays: (die if len(self.history()) > 2 else write)(self, arrays)
        )
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "r", tensorboard=True, resume=True)
    assert [step for step, _ in curves(tmp_path / "r")["train/loss"]] == [1, 2, 3]  # the third is not saved
    same_result(straight, run(tmp_path / "r", tensorboard=True, resume=True))
    shows(tmp_path / "r")
    run(tmp_path / "r", recipe={**RECIPE, "epochs": 1, "warmup_epochs": 0.0}, overwrite=True)
    assert not (tmp_path / "r" / "tensorboard").exists()


def test_tensorboard_that_is_not_installed_is_one_clear_error(tmp_path, monkeypatch, no_training):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install tensorboard"):
        run(tmp_path / "r", tensorboard=True)
    assert not (tmp_path / "r").exists()


def test_progress_is_one_line_an_epoch(tmp_path, capsys):
    train(tiny_model(classes=3), data=arrays(60), recipe={**RECIPE, "epochs": 2}, out=tmp_path / "r")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("tiny, ")
    assert lines[1] == "arrays: 42 training, 6 validation, 12 test images of 8x8x3, 3 classes"
    assert [line[:9] for line in lines if line.startswith("epoch")] == ["epoch 1/2", "epoch 2/2"]
    assert lines[-1] == f"saved in {tmp_path / 'r'}"


IMPORTS = """
import pytest
from test_training import RECIPE, At, interrupt, run, same_result
"""


@pytest.mark.parametrize("backend", BACKENDS)
def test_without_tensorflow_a_run_is_the_same_call(backend, tmp_path):
    without_tensorflow(backend, tmp_path / "r", IMPORTS + "run(out, recipe={**RECIPE, 'epochs': 2}, tensorboard=True)")
    found = RunFolder(tmp_path / "r")
    shows(tmp_path / "r")
    assert found.config()["backend"] == backend
    assert len(found.history()) == 2
    assert evaluate(tmp_path / "r", arrays(60)).confusion == found.metrics()["confusion"]


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_without_tensorflow_a_stopped_run_resumes_to_the_same_result(backend, tmp_path):
    code = """
whole = run(out + "/whole")
with pytest.raises(KeyboardInterrupt):
    run(out + "/stopped", callbacks=[At(2, interrupt)])
same_result(whole, run(out + "/stopped", resume=True))
"""
    without_tensorflow(backend, tmp_path, IMPORTS + code)


def test_a_damaged_folder_says_what_is_damaged(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "r", callbacks=[At(1, interrupt)])
    (tmp_path / "r" / "state.npz").write_bytes(b"PK broken")
    with pytest.raises(RunError, match=r"state\.npz is damaged"):
        run(tmp_path / "r", resume=True)
    (tmp_path / "r" / "config.json").write_text("{")
    with pytest.raises(RunError, match=r"config\.json is damaged"):
        run(tmp_path / "r", resume=True)
    with pytest.raises(RunError, match="no finished run"):
        open_run(tmp_path / "r")


def test_a_name_of_the_zoo_is_built_for_the_data(tmp_path):
    recipe = {**RECIPE, "epochs": 1, "warmup_epochs": 0.0, "batch_size": 10}
    policy = keras.config.dtype_policy().name
    done = train(
        "resnet20",
        data="digits",
        image_size=8,
        limit=20,
        recipe=recipe,
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
