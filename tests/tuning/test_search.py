"""Whole searches: budget, best, interruption, and what does not fit together."""

import json
import signal
import subprocess
import sys
import time

import keras
import pytest
from support.searching import UNTRACED, same_result, search
from support.tfds_files import prepare
from support.training import EAGER, arrays

import kattn
from kattn.cli.main import main
from kattn.runs.folder import RunFolder
from kattn.tuning import SearchError, read_best


def test_what_is_over_budget_is_no_trial(straight):
    assert [row["reduction"] for row in straight.trials] == [4, 8]
    assert [row["status"] for row in straight.trials] == ["completed"] * 2
    assert [(row["reduction"], row["parameters"], row["over"]) for row in straight.rejected] == [
        (2, 7_914, "parameters")
    ]
    assert len(list((straight.path / "trials").iterdir())) == 2
    files = {path.name for path in straight.path.iterdir() if path.is_file() and not path.name.startswith(".")}
    results = {"trials.csv", "rejected.csv", "pareto.png", "best.json"}
    assert files == {"search.json", "costs.json"} | results
    assert (straight.path / "pareto.png").read_bytes().startswith(b"\x89PNG")


def test_the_best_has_the_best_validation_accuracy_and_trains(straight, tmp_path, capsys, monkeypatch):
    best = straight.best
    assert best["validation_accuracy"] == max(row["accuracy"] for row in straight.trials)
    monkeypatch.setattr(keras.Model, "run_eagerly", EAGER)
    out = tmp_path / "run"
    assert main(["train", "--from", str(straight.path / "best.json"), "--limit", "64", "--out", str(out)]) == 0
    run = RunFolder(out)
    assert run.config()["options"] == best["options"] and run.config()["recipe"]["epochs"] == 2
    assert run.history()[-1]["val_accuracy"] == best["validation_accuracy"]  # trained alike, it is the trial again
    capsys.readouterr()
    assert main(["train", "resnet20", "--from", str(straight.path)]) == 1
    assert "leave resnet20 out" in capsys.readouterr().err


DIE = """
import os, signal
from kattn.tuning import trials
from support.searching import search
usual = trials._callbacks
def deadly(plan, folder, recipe):
    die = lambda epoch, logs: os.kill(os.getpid(), signal.SIGKILL)
    last = [keras.callbacks.LambdaCallback(on_epoch_end=die)] if folder.path.name.startswith("0001") else []
    return [*usual(plan, folder, recipe), *last]
trials._callbacks = deadly
search(sys.argv[1])
"""


@pytest.mark.slow
def test_killed_in_the_middle_it_resumes_to_the_same_result(straight, tmp_path):
    out = tmp_path / "killed"
    command = [sys.executable, "-c", UNTRACED + DIE, str(out)]
    assert subprocess.run(command, capture_output=True).returncode == -signal.SIGKILL
    assert len(list(out.glob("trials/*/trial.json"))) == 1 and len(list(out.glob("trials/*/state.npz"))) == 1
    with pytest.raises(SearchError, match=r"holds a search. resume=True goes on"):
        search(out)
    (out / "keras_tuner" / "oracle.json").write_text('{"ongoing')  # KerasTuner writes in place
    same_result(straight, search(out, resume=True))


def test_mechanisms_are_searched_also_where_an_option_of_one_is_called_mechanism(pretended, tmp_path, capsys):
    out = tmp_path / "s"
    command = ["tune", "se_resnet20", "--space", "mechanism=abn,se,none", "--limit", "60", "--epochs", "1"]
    assert main([*command, "--out", str(out)]) == 0
    assert "best: trial" in capsys.readouterr().out
    best = json.loads((out / "best.json").read_text())
    assert best["options"] == {} and best["values"]["mechanism"] in ("abn", "se", "none")
    assert {json.loads(file.read_text())["model"] for file in out.glob("trials/*/trial.json")} == {
        "abn_resnet20",
        "se_resnet20",
        "resnet20",
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "se_resnet2"}, "Unknown model 'se_resnet2'"),
        ({"strategy": "gird"}, "Unknown strategy 'gird'. Closest: grid"),
        ({"objective": "accuracies"}, "Unknown objective 'accuracies'. Closest: accuracy"),
        ({"objective": ["macs"]}, "objective is accuracy, alone or with costs"),
        ({"budget": {"parameter": 1}}, "Unknown budget 'parameter'. Closest: parameters"),
        ({"budget": {"parameters": "many"}}, "budget of parameters is a number above 0"),
        (
            {"budget": {"parameters": 5}},
            r"None of the 1 networks .*\(parameters 5\). Smallest found: parameters 7,614",
        ),
        ({"budget": {"parameters": 5}, "strategy": "random"}, "None of the 1 networks .* Smallest found: .* 7,614"),
        ({"max_trials": 0}, "max_trials is a whole number"),
        ({"seed": -1}, "seed is a whole number from 0"),
        ({"workers": 0}, "workers is a whole number"),
        ({"workers": 2, "data": arrays(60)}, "data must be a name or a path"),
        ({"validation": 0}, "needs validation images"),
        ({"strategy": "hyperband", "prune": True}, "leave prune out"),
        ({"strategy": "hyperband", "space": {"recipe.epochs": [1]}}, "leave recipe.epochs out"),
        ({"space": {"position": ["nowhere"]}}, "se_resnet20 cannot be built with position='nowhere': position must be"),
        ({"recipe": "quik"}, "Unknown recipe"),
        ({"data": "/nowhere/at/all"}, "/nowhere/at/all"),
    ],
)
def test_what_does_not_fit_is_one_clear_error_and_leaves_nothing(tmp_path, no_training, options, message):
    options = {"space": {"depths": [[1, 1, 1]], "widths": [[8, 8, 16]], "reduction": [8]}, **options}
    options = {"limit": 60, "verbose": False, **options}
    with pytest.raises((ValueError, SearchError), match=message):
        kattn.tune(options.pop("model", "se_resnet20"), out=tmp_path / "s", **options)
    assert not (tmp_path / "s").exists()


def test_a_folder_of_another_search_is_left_alone(straight, no_training):
    before = (straight.path / "search.json").read_text()
    with pytest.raises(SearchError, match=r"another search: seed was 0, is 1\. Choose another folder"):
        search(straight.path, resume=True, seed=1)
    with pytest.raises(SearchError, match=r"budget was .*, is \{\}.*overwrite=True"):
        search(straight.path, resume=True, budget=None)
    assert (straight.path / "search.json").read_text() == before


def test_searching_imports_what_it_needs_when_it_needs_it():
    code = (
        "import sys, kattn.tuning, kattn\n"
        "assert kattn.tune is kattn.tuning.tune\n"
        "heavy = {'keras', 'keras_tuner', 'tensorflow', 'matplotlib', 'sklearn'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
def test_the_first_command_of_the_page_killed_whole_and_resumed(tmp_path, capsys):
    out = tmp_path / "search"
    command = ["tune", "se_resnet20", "--space", "reduction=2,4,8,16", "--budget", "parameters=280000"]
    command += ["--workers", "2", "--out", str(out)]
    started = subprocess.Popen([sys.executable, "-m", "kattn", *command], stdout=subprocess.DEVNULL)
    while not list(out.glob("trials/*/state.npz")):
        assert started.poll() is None
        time.sleep(0.1)
    started.kill()
    started.wait()
    time.sleep(3)  # its children notice
    logs = [path.stat().st_size for path in sorted(out.glob("logs/worker*.txt"))]
    time.sleep(12)  # several epochs
    assert logs == [path.stat().st_size for path in sorted(out.glob("logs/worker*.txt"))]
    assert main([*command, "--resume"]) == 0
    assert "best: trial" in capsys.readouterr().out
    assert {row["values"]["reduction"] for row in json.loads((out / "costs.json").read_text()).values()} == {
        2,
        4,
        8,
        16,
    }
    best = json.loads((out / "best.json").read_text())
    assert best["values"]["reduction"] in (8, 16) and best["validation_accuracy"] > 0.95


@pytest.mark.slow
def test_a_data_set_of_tfds_is_searched_on_and_the_seed_repeats_it(tmp_path):
    images, labels = arrays(96, size=32, classes=3)
    prepare(tmp_path / "data", "cifar10", train=(images, labels), test=(images[:32], labels[:32]))
    command = ["tune", "se_resnet20", "--data", "cifar10", "--data-dir", str(tmp_path / "data"), "--limit", "64"]
    command += ["--epochs", "1", "--space", "reduction=2,4,8,16", "--budget", "parameters=280000"]
    for name in ("one", "two"):
        assert main([*command, "--out", str(tmp_path / name)]) == 0
    one, two = ((tmp_path / name / "trials.csv").read_text() for name in ("one", "two"))
    assert one == two and one.count("completed") == 2
    best = [read_best(tmp_path / name / "best.json") for name in ("one", "two")]
    assert best[0] == best[1]
