"""Searches: small ones in full, and the strategies on trials that are only pretended."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import keras
import keras_tuner
import numpy as np
import pytest
from support import TESTS
from support.tfds_files import prepare
from support.training import arrays, tiny_model

import kattn
from kattn.cli.main import main
from kattn.runs.folder import RunFolder
from kattn.training.callbacks import TrainingDiverged
from kattn.training.run import train
from kattn.tuning import costs as tuning_costs
from kattn.tuning import trials as tuning_trial
from kattn.tuning import workers as tuning_workers
from kattn.tuning.results import front, read_best
from kattn.tuning.search import AttentionHyperModel, SearchError, tune
from kattn.tuning.trials import MedianPruner, Pruned

SPACE = {"depths": [[1, 1, 1]], "reduction": [2, 4, 8, 16]}
OPTIONS = {
    "space": SPACE,
    "budget": {"parameters": 82_000},
    "limit": 96,
    "validation": 0.3,
    "overrides": {"epochs": 2},
    "verbose": False,
}


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """An uninterrupted search: reduction 2 is over budget."""
    return tune("se_resnet20", out=tmp_path_factory.mktemp("searches") / "straight", **OPTIONS)


def same_result(one, other):
    """The same table and the same best, to the letter."""
    for name in ("trials.csv", "rejected.csv", "best.json"):
        assert (one.path / name).read_text() == (other.path / name).read_text()


# ---------------------------------------------------------------- whole searches


def test_what_is_over_budget_is_no_trial(straight):
    assert [row["reduction"] for row in straight.trials] == [4, 8, 16]
    assert [row["status"] for row in straight.trials] == ["completed"] * 3
    assert [(row["reduction"], row["parameters"], row["over"]) for row in straight.rejected] == [
        (2, 83_586, "parameters")
    ]
    assert len(list((straight.path / "trials").iterdir())) == 3
    files = {path.name for path in straight.path.iterdir() if path.is_file() and not path.name.startswith(".")}
    results = {"trials.csv", "rejected.csv", "pareto.png", "best.json"}
    assert files == {"search.json", "costs.json"} | results
    assert (straight.path / "pareto.png").read_bytes().startswith(b"\x89PNG")


def test_the_best_has_the_best_validation_accuracy_and_trains(straight, tmp_path, capsys):
    best = straight.best
    assert best["validation_accuracy"] == max(row["accuracy"] for row in straight.trials)
    out = tmp_path / "run"
    assert main(["train", "--from", str(straight.path / "best.json"), "--limit", "96", "--out", str(out)]) == 0
    run = RunFolder(out)
    assert run.config()["options"] == best["options"] and run.config()["recipe"]["epochs"] == 2
    assert run.history()[-1]["val_accuracy"] == best["validation_accuracy"]  # trained alike, it is the trial again
    capsys.readouterr()
    assert main(["train", "resnet20", "--from", str(straight.path)]) == 1
    assert "leave resnet20 out" in capsys.readouterr().err


DIE = """
import os, signal, sys
import keras
from kattn import tuning_trial
sys.path.insert(0, sys.argv[2])
from test_tuning import OPTIONS, tune
usual = tuning_trial._callbacks
def deadly(plan, folder, recipe):
    die = lambda epoch, logs: os.kill(os.getpid(), signal.SIGKILL)
    last = [keras.callbacks.LambdaCallback(on_epoch_end=die)] if folder.path.name.startswith("0001") else []
    return [*usual(plan, folder, recipe), *last]
tuning_trial._callbacks = deadly
tune("se_resnet20", out=sys.argv[1], **OPTIONS)
"""


def test_killed_in_the_middle_it_resumes_to_the_same_result(straight, tmp_path):
    out = tmp_path / "killed"
    command = [sys.executable, "-c", DIE, str(out), str(TESTS)]
    assert subprocess.run(command, capture_output=True).returncode == -signal.SIGKILL
    assert len(list(out.glob("trials/*/trial.json"))) == 1 and len(list(out.glob("trials/*/state.npz"))) == 1
    with pytest.raises(SearchError, match=r"holds a search. resume=True goes on"):
        tune("se_resnet20", out=out, **OPTIONS)
    (out / "keras_tuner" / "oracle.json").write_text('{"ongoing')  # KerasTuner writes in place
    same_result(straight, tune("se_resnet20", out=out, resume=True, **OPTIONS))


def test_two_workers_find_the_same_and_a_dead_one_is_started_again(straight, tmp_path, monkeypatch, capsys):
    children = []
    start = tuning_workers._Crew.start

    def noted(crew, name, mode="a"):
        children.append((name, start(crew, name, mode)))
        return children[-1][1]

    monkeypatch.setattr(tuning_workers._Crew, "start", noted)
    out = tmp_path / "search"

    def kill_one():
        log = out / "logs" / "worker1.txt"
        while not (log.is_file() and "epoch 1/2" in log.read_text()):
            time.sleep(0.02)
        next(child for name, child in children if name == "worker1").kill()

    killer = threading.Thread(target=kill_one, daemon=True)
    killer.start()
    found = tune("se_resnet20", out=out, workers=2, **{**OPTIONS, "verbose": True})
    same_result(straight, found)
    assert "worker1 ended with status -9; started again" in capsys.readouterr().out
    assert [name for name, _ in children] == ["chief", "worker1", "worker2", "worker1"]
    assert all(child.poll() is not None for _, child in children)


@pytest.mark.slow
def test_ctrl_c_leaves_no_child_behind(tmp_path, monkeypatch):
    children = []
    start = tuning_workers._Crew.start

    def noted(crew, name, mode="a"):
        children.append(start(crew, name, mode))
        return children[-1]

    def interrupt(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(tuning_workers._Crew, "start", noted)
    monkeypatch.setattr(tuning_workers.time, "sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        tune("se_resnet20", out=tmp_path / "s", workers=2, **OPTIONS)
    assert len(children) == 3 and all(child.poll() is not None for child in children)


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


@pytest.mark.slow
def test_the_environment_makes_a_call_the_chief_or_a_worker(straight, tmp_path):
    code = (
        "import sys\n"
        "sys.path.insert(0, sys.argv[2])\n"
        "from test_tuning import OPTIONS, tune\n"
        "print(tune('se_resnet20', out=sys.argv[1], **OPTIONS).best['trial'])\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "s"), str(TESTS)]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {**os.environ, "KERASTUNER_ORACLE_IP": "127.0.0.1", "KERASTUNER_ORACLE_PORT": port}
    running = [
        subprocess.Popen(command, env={**shared, "KERASTUNER_TUNER_ID": name}, stdout=subprocess.PIPE, text=True)
        for name in ("chief", "worker1", "worker2")
    ]
    try:
        said = [child.communicate(timeout=300)[0].split() for child in running]
    finally:
        for child in running:
            child.kill()
    assert [words[-1:] for words in said] == [[straight.best["trial"]]] * 3


def test_several_objectives_measure_the_int8_file(tmp_path):
    options = {**OPTIONS, "space": {"depths": [[1, 1, 1]], "reduction": [8]}, "overrides": {"epochs": 1}}
    options |= {"budget": {"latency_ms": 10_000}, "objective": ["accuracy", "int8_bytes"]}
    (row,) = tune("se_resnet20", out=tmp_path / "s", **options).trials
    assert 80_000 < row["int8_bytes"] < 130_000 and row["latency_ms"] > 0
    assert row["score"] == row["accuracy"]  # the reference is this very candidate
    assert list(row)[-6:] == ["parameters", "macs", "int8_bytes", "latency_ms", "front", "model"]


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


# ---------------------------------------------------------------- strategies, on pretended trials


@pytest.fixture
def pretended(monkeypatch):
    """Nothing is built or trained: parameters are 1000 / reduction; reduction 8 and rate 0.1 are best."""
    trained = []

    def measure(costs, candidate, found):
        found |= {"parameters": 1000 / candidate.options["reduction"], "macs": 7, "int8_bytes": 9}

    def pretended_train(model, *, out, recipe, options, seed, callbacks, **_):
        rate = abs(np.log10(recipe.learning_rate) + 1)
        accuracy = 0.9 - 0.02 * abs(options["reduction"] - 8) - 0.1 * rate - 0.1 / recipe.epochs
        trained.append((options["reduction"], recipe.epochs))
        out.mkdir(parents=True)
        rows = [{"epoch": i + 1, "val_accuracy": accuracy - 0.01 * (recipe.epochs - i)} for i in range(recipe.epochs)]
        for i in range(recipe.epochs):
            RunFolder(out).write_history(rows[: i + 1])
            for callback in callbacks:
                callback.on_epoch_end(i)

    monkeypatch.setattr(tuning_costs.Costs, "_measure", measure)
    monkeypatch.setattr(tuning_trial, "train", pretended_train)
    monkeypatch.setattr(tuning_trial.gc, "collect", lambda: None)
    return trained


def pretend(out, **options):
    given = {"space": {"reduction": list(range(1, 41))}, "overrides": {"epochs": 9}, "limit": 60, "verbose": False}
    return tune("se_resnet20", out=out, **{**given, **options})


@pytest.mark.parametrize("strategy", ["random", "bayesian", "hyperband"])
def test_every_strategy_keeps_to_the_budget_and_repeats_itself(strategy, pretended, tmp_path):
    options = {"strategy": strategy, "budget": {"parameters": 250}, "max_trials": 12}
    found = pretend(tmp_path / "one", **options)
    assert len(found.trials) == 12
    assert all(row["reduction"] >= 4 and row["parameters"] <= 250 for row in found.trials)
    assert {row["reduction"] for row in found.rejected} <= {1, 2, 3}
    assert len({(row["reduction"], row["epochs"]) for row in found.trials}) == 12
    count = len(pretended)
    same_result(found, pretend(tmp_path / "two", **options))
    assert pretended[:count] == pretended[count:]
    same_result(found, pretend(tmp_path / "two", resume=True, **options))
    assert len(pretended) == 2 * count  # what is over is not trained again
    other = pretend(tmp_path / "other", seed=1, **options)
    assert [row["reduction"] for row in other.trials] != [row["reduction"] for row in found.trials]


def test_the_gaussian_process_goes_where_the_best_is(pretended, tmp_path):
    rate = {"recipe.learning_rate": {"low": 0.001, "high": 1.0, "log": True}, "reduction": [8]}
    found = pretend(tmp_path / "s", strategy="bayesian", space=rate, max_trials=14)
    assert len(found.trials) == 14
    assert abs(np.log10(found.best["values"]["recipe.learning_rate"]) + 1) < 0.1


def test_hyperband_gives_the_best_all_epochs(pretended, tmp_path):
    found = pretend(tmp_path / "s", strategy="hyperband")
    assert {epochs for _, epochs in pretended} == {1, 3, 9}
    assert found.best["recipe"]["epochs"] == 9
    with pytest.raises(ValueError, match=r"hyperband begins with \d+ candidates at 9 epochs; the space has 4"):
        pretend(tmp_path / "small", strategy="hyperband", space={"reduction": [2, 4, 8, 16]})
    assert not (tmp_path / "small").exists()


def test_a_cost_in_the_objective_weighs_as_in_mnasnet(pretended, tmp_path):
    options = {"objective": ["accuracy", "parameters"], "space": {"reduction": [8, 9, 40]}}
    found = pretend(tmp_path / "s", budget={"parameters": 250}, **options)
    for row in found.trials:
        assert row["score"] == pytest.approx(row["accuracy"] * (row["parameters"] / 250) ** -0.07)
    assert [row["front"] for row in found.trials] == [True, True, True]
    assert found.front == found.trials
    assert pretend(tmp_path / "t", **options).best["values"] == found.best["values"]  # the reference changes no rank


def test_trials_that_fail_stop_the_search_and_those_before_are_kept(pretended, tmp_path, monkeypatch):
    usual = tuning_trial.train

    def failing(model, *, options, **others):
        if options["reduction"] == 8:
            raise ValueError("no such luck.")
        usual(model, options=options, **others)

    monkeypatch.setattr(tuning_trial, "train", failing)
    options = {"space": {"reduction": [4, 8, 16]}}
    with pytest.raises(
        SearchError, match=r"The trial reduction=8 failed: no such luck\. .*resume=True goes on"
    ) as told:
        pretend(tmp_path / "s", **options)
    assert isinstance(told.value.__cause__, ValueError)
    monkeypatch.setattr(tuning_trial, "train", usual)
    assert len(pretend(tmp_path / "s", resume=True, **options).trials) == 3
    assert [reduction for reduction, _ in pretended] == [4, 8, 16]


def test_a_diverged_trial_is_a_bad_result(pretended, tmp_path, monkeypatch):
    usual = tuning_trial.train

    def diverging(model, *, options, out, **others):
        if options["reduction"] == 8:
            out.mkdir()
            raise TrainingDiverged("The loss became nan.")
        usual(model, options=options, out=out, **others)

    monkeypatch.setattr(tuning_trial, "train", diverging)
    found = pretend(tmp_path / "s", space={"reduction": [4, 8, 16]})
    assert [row["status"] for row in found.trials] == ["completed", "diverged", "completed"]
    assert found.trials[1]["accuracy"] == 0 and found.best["values"] == {"reduction": 4}


# ---------------------------------------------------------------- the parts


def test_searching_imports_what_it_needs_when_it_needs_it():
    code = (
        "import sys, kattn.tuning, kattn\n"
        "assert kattn.tune is kattn.tuning.tune\n"
        "heavy = {'keras', 'keras_tuner', 'tensorflow', 'matplotlib', 'sklearn'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_front_by_hand():
    points = [(0.9, -10), (0.8, -5), (0.8, -6), (0.7, -5), (0.95, -20), (0.9, -10)]
    assert front(points) == [True, True, False, False, True, True]


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


def write(folder, accuracies):
    folder.mkdir()
    RunFolder(folder).write_history([{"epoch": i, "val_accuracy": value} for i, value in enumerate(accuracies)])


def test_ended_in_the_middle_of_a_run_and_again_when_that_is_resumed(tmp_path):
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


# ---------------------------------------------------------------- what does not fit


@pytest.fixture
def no_training(monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("training began")

    monkeypatch.setattr(keras.Model, "fit", refuse)


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
            r"None of the 1 networks .*\(parameters 5\). Smallest found: parameters 79,512",
        ),
        ({"budget": {"parameters": 5}, "strategy": "random"}, "None of the 1 networks .* Smallest found: .* 79,512"),
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
    options = {"space": {"depths": [[1, 1, 1]], "reduction": [8]}, "limit": 60, "verbose": False, **options}
    with pytest.raises((ValueError, SearchError), match=message):
        kattn.tune(options.pop("model", "se_resnet20"), out=tmp_path / "s", **options)
    assert not (tmp_path / "s").exists()


def test_a_folder_of_another_search_is_left_alone(straight, no_training):
    before = (straight.path / "search.json").read_text()
    with pytest.raises(SearchError, match=r"another search: seed was 0, is 1\. Choose another folder"):
        tune("se_resnet20", out=straight.path, resume=True, seed=1, **OPTIONS)
    with pytest.raises(SearchError, match=r"budget was .*, is \{\}.*overwrite=True"):
        tune("se_resnet20", out=straight.path, resume=True, **{**OPTIONS, "budget": None})
    assert (straight.path / "search.json").read_text() == before


def test_overwriting_starts_anew_and_leaves_other_files(pretended, tmp_path):
    pretend(tmp_path, space={"reduction": [4, 8]})
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="Closest"):
        pretend(tmp_path, space={"reductio": [4]}, overwrite=True)
    assert len(list(tmp_path.glob("trials/*"))) == 2
    assert len(pretend(tmp_path, space={"reduction": [16]}, overwrite=True).trials) == 1
    assert len(list(tmp_path.glob("trials/*"))) == 1 and (tmp_path / "notes.txt").read_text() == "mine"


def test_a_folder_that_is_no_search_is_left_alone(pretended, tmp_path):
    (tmp_path / "trials").mkdir()
    with pytest.raises(SearchError, match=r"no search's folder, but holds trials"):
        pretend(tmp_path)
    (tmp_path / "search.json").write_text("{")
    with pytest.raises(SearchError, match=r"search\.json is damaged"):
        pretend(tmp_path, resume=True)


def test_two_searches_do_not_share_a_folder(pretended, tmp_path):
    import filelock

    with filelock.FileLock(tmp_path / ".lock"), pytest.raises(SearchError, match="Another search is running"):
        pretend(tmp_path)


def test_what_is_no_best_json_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"cannot be read"):
        read_best(tmp_path / "nothing.json")
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(ValueError, match="no JSON"):
        read_best(tmp_path / "a.json")
    (tmp_path / "a.json").write_text(json.dumps({"model": "resnet20"}))
    with pytest.raises(ValueError, match="has no options, recipe"):
        read_best(tmp_path / "a.json")
