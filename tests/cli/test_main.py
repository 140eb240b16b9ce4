"""The command line: answers, exit statuses, and one clear line for each error."""

import subprocess
import sys

import pytest

from kattn.cli import commands
from kattn.cli.main import main, names
from kattn.version import __version__

TOY = """\
HELP, EXAMPLE, KERAS = "say a word", "kattn toy word", False
add = lambda parser: parser.add_argument("word")
run = lambda arguments: print(arguments.word.upper()) or 3
"""


def run(capsys, *arguments):
    status = main(arguments)
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.mark.parametrize("arguments", [["--help"], *([name, "--help"] for name in names())], ids=" ".join)
def test_help_has_examples(capsys, arguments):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 0 and "example" in capsys.readouterr().out


def test_the_version_is_told(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--version"])
    assert stopped.value.code == 0 and capsys.readouterr().out == f"kattn {__version__}\n"


def test_without_a_command_it_shows_the_help(capsys):
    status, out, _ = run(capsys)
    assert status == 2
    assert [line.split()[0] for line in out.splitlines() if line.startswith("    ") and line[4] != " "] == names()


def test_an_unknown_command_is_a_wrong_call(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["trian", "se_resnet20"])
    assert stopped.value.code == 2 and "invalid choice: 'trian'" in capsys.readouterr().err


def test_one_file_adds_a_command(capsys, monkeypatch, tmp_path):
    (tmp_path / "toy.py").write_text(TOY)
    monkeypatch.setattr(commands, "__path__", [*commands.__path__, str(tmp_path)])
    status, out, _ = run(capsys, "toy", "hello")
    assert (status, out) == (3, "HELLO\n")
    assert names()[-1] == "toy" and "say a word" in run(capsys)[1]


def test_list_and_info_answer(capsys):
    status, out, _ = run(capsys, "list", "se_resnet*")
    found = out.split()
    assert status == 0 and found.index("se_resnet20") < found.index("se_resnet110")
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
        (["train"], "name a model of the zoo"),
        (["train", "--from", "nowhere.json"], "nowhere.json cannot be read"),
        (["evaluate", "nowhere.tflite", "--data", "digits"], "There is no nowhere.tflite"),
        (["evaluate", "cbam_resnet20", "--data", "digits"], "random weights: give --weights (cifar10"),
        (["evaluate", "se_resnet51", "--weights", "cifar10"], "Unknown model 'se_resnet51'"),
        (["export", "se_resnet51"], "Unknown model"),
        (["export", "runs/none"], "There is no runs/none"),
        (["export", "resnet20", "--to", "saved_model", "--precision", "int8"], "float32 in SavedModel"),
        (["export", "resnet20", "--to", "tflite", "--layout", "nchw"], "No option --layout in TFLite"),
        (["export", "resnet20", "--precision", "int8"], "int8 needs --calibration"),
        (["bench", "nowhere.tflite"], "nowhere.tflite"),
        (["explain", "runs/none", "photos"], "There is no runs/none"),
        (["explain", "resnet20"], "pass --report for a run"),
        (["explain", "run", "--report", "--beside", "other"], "leave --beside out"),
        (["compare", "resnet20", "se_resnet51"], "se_resnet51"),
        (["compare", "resnet20", "se_resnet20:reduction"], "Options are name:option=value"),
        (["compare", "resnet20", "--export", "onyx"], "Closest: onnx"),
        (["compare", "resnet20", "resnet20"], "Twice: resnet20"),
        (["find-rate", "se_resnet51"], "Unknown model 'se_resnet51'"),
        (["find-rate", "resnet20", "--low", "1", "--high", "0.1"], "rates rise from low to high"),
        (["tune", "se_resnet51"], "Unknown model 'se_resnet51'"),
        (["tune", "se_resnet20", "--space", "reduction"], "--space takes NAME=CHOICES"),
        (["tune", "se_resnet20", "--space", "reductoin=2,4"], "Closest: reduction"),
        (["tune", "se_resnet20", "--space", "recipe.learning_rate=0.1..0.2:lin"], "A range is"),
        (["tune", "se_resnet20", "--budget", "parameters=many"], "--budget takes COST=MOST"),
        (["tune", "se_resnet20", "--strategy", "gird"], "Closest: grid"),
        (["bench", "no\nkattn: all is well\x1b[2J.tflite"], r"no\nkattn: all is well\x1b[2J.tflite"),
    ],
)
def test_an_error_is_one_line_and_a_status(capsys, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    status, _, err = run(capsys, *arguments)
    assert status == 1
    assert err.startswith("kattn: error: ") and message in err and len(err.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_debug_shows_the_traceback(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for arguments in (["--debug", "info", "nothing"], ["info", "nothing", "--debug"]):
        with pytest.raises(ValueError, match="Unknown model"):
            main(arguments)


def test_help_listing_and_describing_import_no_keras():
    code = (
        "import sys\n"
        "from kattn.cli.main import main, names\n"
        "assert main(['list', 'se_*']) == 0 and main(['info', 'resnet50']) == 0\n"
        "for name in ('', *names()):\n"
        "    try:\n        main([*name.split(), '--help'])\n    except SystemExit: pass\n"
        "heavy = {'keras', 'tensorflow', 'numpy', 'onnx', 'matplotlib', 'sklearn'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("module", ["kattn", "kattn.cli"])
def test_it_runs_as_a_module(module):
    command = [sys.executable, "-m", module, "list", "se_resnet20"]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "se_resnet20\n"


OWN = """
import keras, kattn

@keras.saving.register_keras_serializable("cli_tests")
class OwnGate(keras.Layer):
    def call(self, x):
        return -x

kattn.zoo.register("owngate", OwnGate)
"""


def test_every_command_imports_attention_of_ones_own(tmp_path, capsys):
    from kattn.zoo.attentions import named

    file = tmp_path / "own_gate.py"
    file.write_text(OWN)
    try:
        assert main(["list", "owngate_resnet2*", "--import", str(file)]) == 0
        assert capsys.readouterr().out.split() == ["owngate_resnet20"]
        assert main(["info", "owngate_resnet20", "--import", str(file)]) == 0
        assert "attention  owngate" in capsys.readouterr().out
    finally:
        named.REGISTERED.clear()
