"""`kattn export` has what the exporters have, and evaluate and bench take what it writes."""

import json

import numpy as np
import pytest
from support import toy_format

import kattn
from kattn.cli.commands.export import OPTIONS
from kattn.cli.main import build_parser, main
from kattn.export.formats import FORMATS

OF_THE_COMMAND = {"precision", "calibration"}  # options that every format shares
OF_THE_LIBRARY = {"preprocess"}  # a function


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of one epoch; its calibration and its test images are the digits."""
    folder = tmp_path_factory.mktemp("cli") / "run"
    small = ["--epochs", "1", "--limit", "64", "--set", "depths=[1,1,1]", "--set", "reduction=4"]
    assert main(["train", "se_resnet20", *small, "--out", str(folder)]) == 0
    return folder


def test_the_options_are_those_of_the_exporters():
    exported = {name for row in FORMATS.values() for name in row.options} - OF_THE_COMMAND - OF_THE_LIBRARY
    assert exported == set(OPTIONS)


@pytest.mark.parametrize("name", OPTIONS)
def test_a_default_that_the_help_names_is_the_exporters(name):
    _, _, said = OPTIONS[name]["help"].partition("(default: ")
    for default in (row.options[name].default for row in FORMATS.values() if name in row.options):
        shown = f"--{name}" if default is True else default[0] if isinstance(default, tuple) and default else default
        assert shown in (None, ()) or str(shown) in said


def test_the_formats_and_precisions_are_those_of_the_table(monkeypatch):
    monkeypatch.setitem(FORMATS, "toy", toy_format.ROW)
    arguments = build_parser().parse_args(["export", "m", "--precision", "int16", "rounded", "--to", "onnx", "toy"])
    assert arguments.to == ["onnx", "toy"] and arguments.precision == ["int16", "rounded"]


def test_a_run_is_exported_evaluated_and_timed(trained, capsys):
    assert main(["evaluate", str(trained), "--json", "--limit", "64"]) == 0
    top1 = json.loads(capsys.readouterr().out)["top1"]
    assert main(["export", str(trained), "--to", "tflite", "onnx"]) == 0
    artefacts = [str(trained / name) for name in ("se_resnet20_float32.tflite", "se_resnet20.onnx")]
    for artefact in artefacts:
        capsys.readouterr()
        assert main(["evaluate", artefact, "--data", "digits", "--json", "--limit", "64"]) == 0
        assert json.loads(capsys.readouterr().out)["top1"] == top1
    assert main(["bench", "--json", *artefacts]) == 0
    assert len(json.loads(capsys.readouterr().out)["rows"]) == 2


@pytest.mark.slow
def test_every_format_gets_the_precision_and_the_options_that_it_has(trained, tmp_path, capsys):
    options = ["--io-type", "uint8", "--layout", "nchw", "--calibration-images", "16", "--min-agreement", "0"]
    precision = ["--precision", "int8", "dynamic"]
    assert main(["export", str(trained), "--to", "onnx", *precision, *options[2:], "--out", str(tmp_path)]) == 0
    assert "ONNX has no precision dynamic: not written." in capsys.readouterr().out
    assert main(["export", str(trained), "--to", "tflite", "--precision", "int8", *options[:2], *options[4:]]) == 0
    onnx, tflite = tmp_path / "se_resnet20_int8.onnx", trained / "se_resnet20_int8.tflite"
    reports = [json.loads(path.with_name(f"{path.name}.json").read_text()) for path in (onnx, tflite)]
    assert [report["precision"] for report in reports] == ["int8", "int8"]
    assert reports[0]["inputs"]["image"]["shape"] == ["batch", 3, 16, 16]
    assert reports[1]["inputs"]["image"]["dtype"] == "uint8"
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".onnx"]


def test_a_file_that_is_there_is_refused_in_flags(trained, tmp_path, capsys):
    (tmp_path / "se_resnet20.onnx").touch()
    arguments = ["export", str(trained), "--to", "onnx", "--out", str(tmp_path), "--no-overwrite"]
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert "se_resnet20.onnx" in error and "overwrite=" not in error


def test_a_finished_run_is_refused_in_flags(trained, capsys):
    assert main(["train", "se_resnet20", "--out", str(trained)]) == 1
    error = capsys.readouterr().err
    assert "holds a finished run" in error and "--overwrite" in error and "overwrite=" not in error


def test_weights_of_the_zoo_and_a_folder_of_images(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sample = np.load(f"{__file__.rpartition('/cli/')[0]}/data/cifar10_sample.npz")["images"][:8]
    (tmp_path / "photos").mkdir()
    from PIL import Image

    for number, image in enumerate(sample):
        Image.fromarray(image).save(tmp_path / "photos" / f"{number}.png")
    assert main(["export", "resnet20", "--weights", "cifar10", "--to", "onnx", "--images", "photos"]) == 0
    model = kattn.zoo.resnet20(weights="cifar10")
    answers = kattn.export.load(tmp_path / "resnet20.onnx")(sample)["predictions"]
    np.testing.assert_allclose(answers, model.predict(sample.astype("float32"), verbose=0), atol=1e-4)


def test_a_toy_format_needs_no_edit(trained, monkeypatch, capsys):
    monkeypatch.setitem(FORMATS, "toy", toy_format.ROW)
    assert main(["export", str(trained), "--to", "toy", "--precision", "rounded", "--set", "digits=2"]) == 0
    path = trained / "se_resnet20_rounded.toy"
    assert json.loads(path.with_name(f"{path.name}.json").read_text())["checks"]["digits"] == "2"
    capsys.readouterr()
    assert main(["evaluate", str(path), "--data", "digits", "--limit", "32"]) == 0
    assert "32 images of digits" in capsys.readouterr().out
    assert main(["bench", str(path)]) == 0
    assert "rounded.toy" in capsys.readouterr().out
