"""A run that was stopped goes on to the result of one that was not."""

import json
import resource
import shutil
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest
from support import TESTS
from support.runs import RECIPE, At, interrupt, run, same_result
from support.training import arrays, tiny_model

from kattn.runs.folder import RunError, RunFolder
from kattn.training.run import train


@pytest.mark.slow
def test_killed_in_the_middle_it_resumes_to_the_same_result(straight, tmp_path):
    script = (
        "import os, signal, sys\n"
        "sys.path.insert(0, sys.argv[2])\n"
        "from support.runs import At, run\n"
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
    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "write_state", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "r")
    assert len(RunFolder(tmp_path / "r").history()) == 1
    same_result(straight, run(tmp_path / "r", resume=True))


def test_ctrl_c_says_how_to_go_on_and_resumes_to_the_same_result(straight, tmp_path, capsys):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "r", callbacks=[At(1, interrupt)])
    assert f"Stopped after 1 of 4 epochs; resume=True goes on in {tmp_path / 'r'}" in capsys.readouterr().out
    with pytest.raises(RunError, match=r"not finished.*resume=True goes on with it, overwrite=True"):
        run(tmp_path / "r")
    same_result(straight, run(tmp_path / "r", resume=True))


@pytest.mark.parametrize(
    "changes",
    [
        {"ema": 0.8, "optimizer": "adamw", "accumulate": 2, "clip_norm": 1.0},
        pytest.param({"ema": 0.8}, marks=pytest.mark.slow),
        pytest.param({"optimizer": "adamw", "accumulate": 2, "clip_norm": 1.0}, marks=pytest.mark.slow),
    ],
)
def test_averages_and_accumulated_gradients_are_resumed_too(tmp_path, changes):
    recipe = {**RECIPE, "epochs": 3, **changes}
    whole = run(tmp_path / "whole", recipe=recipe)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "r", recipe=recipe, callbacks=[At(2, interrupt)])
    same_result(whole, run(tmp_path / "r", recipe=recipe, resume=True))


@pytest.mark.slow
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


@pytest.mark.slow
def test_patience_is_resumed_too(tmp_path):
    changes = {"epochs": 12, "learning_rate": 1e-9, "patience": 2, "label_smoothing": 0.0, "warmup_epochs": 0.0}
    recipe = {**RECIPE, **changes}
    whole = run(tmp_path / "whole", recipe=recipe)
    assert len(whole.history) < 12
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "r", recipe=recipe, callbacks=[At(1, interrupt)])
    same_result(whole, run(tmp_path / "r", recipe=recipe, resume=True))


def test_resume_starts_a_run_where_there_is_none_and_returns_a_finished_one(straight, tmp_path):
    same_result(straight, run(tmp_path / "r", resume=True))
    before = (tmp_path / "r" / "model.keras").stat().st_mtime_ns
    same_result(straight, run(tmp_path / "r", resume=True))
    assert (tmp_path / "r" / "model.keras").stat().st_mtime_ns == before


def test_a_run_that_was_started_before_a_recipe_had_a_field_is_the_same_run(straight, tmp_path, no_training):
    out = shutil.copytree(straight.path, tmp_path / "r")
    config = json.loads((out / "config.json").read_text())
    assert config["recipe"].pop("crop") == 0.0
    (out / "config.json").write_text(json.dumps(config))
    same_result(straight, run(out, resume=True))
    with pytest.raises(RunError, match=r"recipe.crop was 0.0, is 0.5"):
        run(out, recipe={**RECIPE, "crop": 0.5}, resume=True)


def test_other_settings_do_not_resume(stopped_run, no_training):
    with pytest.raises(RunError, match=r"other settings: recipe\.learning_rate was 0\.05, is 0\.1"):
        run(stopped_run, recipe={**RECIPE, "learning_rate": 0.1}, resume=True)
    recipe = {name: value for name, value in RECIPE.items() if name != "flip"}
    with pytest.raises(RunError, match=r"other settings: recipe\.flip was True, is False"):
        run(stopped_run, recipe=recipe, resume=True)
    with pytest.raises(RunError, match=r"images of arrays are not those that the run in .* was started with"):
        train(tiny_model(classes=3), data=arrays(60, seed=1), recipe=RECIPE, out=stopped_run, resume=True)


def test_a_full_disk_leaves_no_half_file_and_the_run_resumes(straight, tmp_path, monkeypatch):
    write, soft_hard = RunFolder.write_weights, resource.getrlimit(resource.RLIMIT_FSIZE)

    def write_to_full_disk(folder, name, model):
        resource.setrlimit(resource.RLIMIT_FSIZE, (1024, soft_hard[1]))
        try:
            write(folder, name, model)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, soft_hard)

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "write_weights", write_to_full_disk)
        with pytest.raises(RunError, match=r"weights\.h5 could not be written: File too large"):
            run(tmp_path / "r")
    assert {file.name for file in (tmp_path / "r").iterdir()} == {"config.json", "images.npz", "model.json"}
    same_result(straight, run(tmp_path / "r", resume=True))


def test_a_damaged_folder_says_what_is_damaged(stopped, no_training):
    (stopped / "state.npz").write_bytes(b"PK broken")
    with pytest.raises(RunError, match=r"state\.npz is damaged"):
        run(stopped, resume=True)
    (stopped / "config.json").write_text("{")
    with pytest.raises(RunError, match=r"config\.json is damaged"):
        run(stopped, resume=True)
