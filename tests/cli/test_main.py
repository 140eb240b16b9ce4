"""The command line: answers, exit statuses, and one clear line for each error."""

import json
import subprocess
import sys

import pytest

from kattn.cli.main import main


def run(capsys, *arguments):
    status = main(arguments)
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["train", "--help"],
        ["evaluate", "--help"],
        ["export", "--help"],
        ["bench", "--help"],
        ["tune", "--help"],
        ["--version"],
    ],
)
def test_help_has_examples(capsys, arguments):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    out = capsys.readouterr().out
    assert stopped.value.code == 0
    assert "example" in out or out.startswith("kattn 0")


def test_without_a_command_it_shows_the_help(capsys):
    status, out, _ = run(capsys)
    assert status == 2 and "quickstart" in out


def test_list_and_info_answer(capsys):
    status, out, _ = run(capsys, "list", "se_resnet*")
    names = out.split()
    assert status == 0 and names.index("se_resnet20") < names.index("se_resnet110")
    status, out, _ = run(capsys, "info", "afi_resnet50")
    assert status == 0 and "23,849,256" in out and "3,781,251,584" in out and "AFINet" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["list", "nothing_*"], "no model matches 'nothing_*'"),
        (["list", "--weights", "nothing_*"], "no model with weights matches"),
        (["info", "se_resnet51"], "se_resnet50"),
        (["train", "se_resnet51"], "Unknown model 'se_resnet51'"),
        (["train", "se_resnet20", "--set", "reduction"], "--set takes OPTION=VALUE"),
        (["train", "se_resnet20", "--recipe", "quik"], "quick"),
        (["train", "se_resnet20", "--data", "/nowhere/at/all"], "/nowhere/at/all"),
        (["evaluate", "nowhere.tflite", "--data", "digits"], "There is no nowhere.tflite"),
        (["export", "se_resnet51"], "Unknown model"),
        (["bench", "nowhere.tflite"], "nowhere.tflite"),
        (["train"], "name a model of the zoo"),
        (["train", "--from", "nowhere.json"], "nowhere.json cannot be read"),
        (["tune", "se_resnet51"], "Unknown model 'se_resnet51'"),
        (["tune", "se_resnet20", "--space", "reduction"], "--space takes NAME=CHOICES"),
        (["tune", "se_resnet20", "--space", "reductoin=2,4"], "Closest: reduction"),
        (["tune", "se_resnet20", "--space", "recipe.learning_rate=0.1..0.2:lin"], "A range is"),
        (["tune", "se_resnet20", "--budget", "parameters=many"], "--budget takes COST=MOST"),
        (["tune", "se_resnet20", "--strategy", "gird"], "Closest: grid"),
    ],
)
def test_an_error_is_one_line_and_a_status(capsys, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    status, _, err = run(capsys, *arguments)
    assert status == 1
    assert err.startswith("kattn: error: ") and message in err and len(err.strip().splitlines()) == 1
    assert not list(tmp_path.rglob("*.tflite"))


def test_debug_shows_the_traceback(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for arguments in (["--debug", "info", "nothing"], ["info", "nothing", "--debug"]):
        with pytest.raises(ValueError, match="Unknown model"):
            main(arguments)


def test_train_evaluate_export_and_bench_work_together(capsys, tmp_path):
    folder = str(tmp_path / "run")
    training = ["train", "se_resnet20", "--epochs", "1", "--limit", "64", "--out", folder, "--set", "reduction=4"]
    status, out, err = run(capsys, *training)
    assert status == 0, err
    assert "epoch 1/1" in out.replace("  ", " ")
    assert json.loads((tmp_path / "run" / "config.json").read_text())["options"]["reduction"] == 4
    status, _, err = run(capsys, *training)
    assert status == 1 and "holds a finished run" in err

    status, out, err = run(capsys, "evaluate", folder, "--json", "--limit", "64")
    assert status == 0, err
    top1 = json.loads(out)["top1"]

    status, out, err = run(capsys, "export", folder, "--to", "tflite", "onnx")
    assert status == 0, err
    artefacts = [str(tmp_path / "run" / name) for name in ("se_resnet20_float32.tflite", "se_resnet20.onnx")]
    for artefact in artefacts:
        status, out, err = run(capsys, "evaluate", artefact, "--data", "digits", "--json", "--limit", "64")
        assert status == 0, err
        assert json.loads(out)["top1"] == top1

    status, out, err = run(capsys, "bench", "--json", *artefacts)
    assert status == 0, err
    assert len(json.loads(out)["rows"]) == 2


def test_tune_reads_choices_ranges_and_budgets(monkeypatch):
    given = {}
    monkeypatch.setattr("kattn.tuning.tune", lambda name, **options: given.update(options, name=name))
    space = ["reduction=2,4", "mechanism=se,eca", "stages=[2,3],[3]", "recipe.learning_rate=0.01..0.3:log"]
    assert main(["tune", "se_resnet20", "--space", *space, "--budget", "parameters=280000", "--epochs", "3"]) == 0
    assert given["space"] == {
        "reduction": [2, 4],
        "mechanism": ["se", "eca"],
        "stages": [[2, 3], [3]],
        "recipe.learning_rate": {"low": 0.01, "high": 0.3, "log": True},
    }
    assert given["budget"] == {"parameters": 280000} and given["overrides"] == {"epochs": 3}
    assert given["name"] == "se_resnet20" and given["data"] == "digits" and given["workers"] == 1


def test_int8_of_a_bare_model_asks_for_images(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, _, err = run(capsys, "export", "resnet20", "--precision", "int8")
    assert status == 1 and "--calibration" in err
    assert not list(tmp_path.iterdir())


def test_listing_and_describing_import_no_keras():
    code = (
        "import sys\n"
        "from kattn.cli import main\n"
        "assert main(['list', 'se_*']) == 0 and main(['info', 'resnet50']) == 0\n"
        "try:\n    main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'keras', 'tensorflow', 'numpy', 'onnx', 'matplotlib', 'sklearn'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
