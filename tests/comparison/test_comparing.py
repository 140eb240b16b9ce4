"""Whole comparisons of networks that train in a moment, in this process."""

import keras
import numpy as np
import pytest
from support.comparing import pretended_train
from support.training import EAGER, arrays, tiny_model

import kattn
from kattn.comparison.comparing import compare
from kattn.comparison.errors import ComparisonError

RECIPE = {"epochs": 2, "batch_size": 16, "learning_rate": 0.05}
RESULTS = ("comparison.csv", "comparison.json", "comparison.md", "comparison.png", "comparison.html", "runs.csv")


def models(classes=3):
    keras.utils.set_random_seed(5)
    found = {name: tiny_model(classes=classes) for name in ("one", "two")}
    return [keras.Model(model.input, model.output, name=name) for name, model in found.items()]


def run(out, **options):
    """A comparison of two tiny models with two seeds; the same call gives the same."""
    given = {"models": models(), "data": arrays(48), "recipe": RECIPE, "seeds": 2, "verbose": False, "out": out}
    return compare(**{**given, **options})


def quickly(patch):
    """Training untraced, nothing timed, no picture drawn: test_results.py has these."""
    patch.setattr(keras.Model, "run_eagerly", EAGER)
    patch.setattr("kattn.comparison.comparing.time_images", lambda plan: {})
    patch.setattr("kattn.comparison.results.encoded", lambda figure, form: b"a picture")
    patch.setattr("kattn.comparison.results.draw", lambda found, data: None)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    quickly(monkeypatch)


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        quickly(patch)
        return run(tmp_path_factory.mktemp("comparisons") / "straight")


def test_every_run_is_an_ordinary_run(straight):
    folders = sorted(folder.name for folder in (straight.path / "runs").iterdir() if folder.is_dir())
    assert folders == ["one-0", "one-1", "two-0", "two-1"]
    for row in straight.runs:
        opened = kattn.training.open_run(straight.path / "runs" / f"{row.model}-{row.seed}")
        assert opened.evaluation.accuracy == row.value and opened.config["seed"] == row.seed
    one, two = straight.models
    assert one.mean == np.mean([row.value for row in straight.runs if row.model == "one"])
    assert one.parameters == kattn.profile(models()[0]).parameters and two.pairs == 2


def test_a_stopped_comparison_goes_on_and_ends_with_the_same_bytes(straight, tmp_path, monkeypatch, capsys):
    out, train, calls = tmp_path / "stopped", kattn.comparison.jobs.train, []

    def stopping(model, **options):
        calls.append(options["out"].name)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return train(model, **options)

    monkeypatch.setattr("kattn.comparison.jobs.train", stopping)
    with pytest.raises(KeyboardInterrupt):
        run(out)
    assert "Not finished: 2 of 4 runs are left." in (out / "comparison.md").read_text()  # the early report
    run(out, verbose=True)
    assert calls == ["one-0", "two-0", "one-1", "one-1", "two-1"]
    assert "3 of 4: one, seed 1: accuracy" in capsys.readouterr().out
    for name in RESULTS:
        assert (out / name).read_bytes() == (straight.path / name).read_bytes(), name
    again = run(out)
    assert len(calls) == 5 and str(again) == str(straight)


@pytest.fixture
def pretended(monkeypatch):
    """Nothing is trained. Gives the names of the runs."""
    done = []
    monkeypatch.setattr("kattn.comparison.jobs.train", pretended_train(done))
    return done


@pytest.mark.slow
def test_a_later_call_adds_seeds_and_other_settings_are_refused(pretended, tmp_path):
    first = run(tmp_path / "c", seeds=1)
    assert first.models[1].difference_low is None
    with pytest.raises(ComparisonError, match=r"another comparison: fields was \{'epochs': 2\}, is \{'epochs': 3\}"):
        run(tmp_path / "c", overrides={"epochs": 3})
    changed = models()
    changed[1].set_weights([value + 1 for value in changed[1].get_weights()])
    with pytest.raises(ComparisonError, match="two was"):
        run(tmp_path / "c", models=changed)
    with pytest.raises(ComparisonError, match="holds a comparison"):
        run(tmp_path / "c", resume=False)
    assert len(run(tmp_path / "c", seeds=2).runs) == 4
    assert pretended == ["one-0", "two-0", "one-1", "two-1"]
    assert len(run(tmp_path / "c", seeds=2, overwrite=True).runs) == 4 and len(pretended) == 8


def failing(train, name, error):
    """Training that ends with this error for the run of a name."""

    def fail(model, *, out, **options):
        run = train(model, out=out, **options)
        if out.name == name:
            raise error
        return run

    return fail


def test_a_run_that_diverges_is_a_row_and_is_not_repeated(pretended, tmp_path, monkeypatch):
    error = kattn.training.TrainingDiverged("The loss became nan in epoch 1.")
    monkeypatch.setattr("kattn.comparison.jobs.train", failing(pretended_train(pretended), "two-1", error))
    found = run(tmp_path / "c")
    assert [(row.status, row.value is None) for row in found.runs][3] == ("diverged", True)
    assert (found.models[1].runs, found.models[1].diverged, found.models[1].pairs) == (1, 1, 1)
    run(tmp_path / "c")
    assert len(pretended) == 4


def test_a_run_that_fails_does_not_stop_the_others_and_is_tried_again(pretended, tmp_path, monkeypatch):
    train = pretended_train(pretended)
    monkeypatch.setattr("kattn.comparison.jobs.train", failing(train, "one-0", RuntimeError("no luck")))
    with pytest.raises(ComparisonError, match=r"1 of 4 runs failed: one, seed 0: RuntimeError: no luck.*again"):
        run(tmp_path / "c")
    monkeypatch.setattr("kattn.comparison.jobs.train", train)
    assert all(row.status == "finished" for row in run(tmp_path / "c").runs)
    assert pretended == ["one-0", "two-0", "one-1", "two-1", "one-0"]


def test_a_model_that_does_not_fit_is_refused_before_any_training(tmp_path, monkeypatch):
    monkeypatch.setattr(keras.Model, "fit", None)
    with pytest.raises(ValueError, match=r"Nothing was trained, because not every model fits\. two: .*out of range"):
        run(tmp_path / "c", models=[models()[0], models(classes=2)[1]])
    assert not (tmp_path / "c").exists()


def test_a_folder_of_something_else_is_left_alone(tmp_path, straight):
    with pytest.raises(ComparisonError, match=r"no comparison's folder, but holds config\.json"):
        run(straight.path / "runs" / "one-0")
    (tmp_path / "runs").mkdir()
    with pytest.raises(ComparisonError, match="no comparison's folder, but holds runs"):
        run(tmp_path)


def test_exported_files_are_evaluated(tmp_path):
    found = run(tmp_path / "c", seeds=1, export=["onnx"])
    for row in found.runs:
        assert row.artefacts["onnx:float32"] == pytest.approx(row.value, abs=0.1)
        assert (found.path / "runs" / f"{row.model}-0" / f"{row.model}.onnx").is_file()
