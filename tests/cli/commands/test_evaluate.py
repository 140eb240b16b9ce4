"""`kattn evaluate` takes weights of the zoo by their tag; what it says of names cannot control a terminal."""

import json

from kattn.cli.main import main


def test_a_model_of_the_zoo_is_evaluated_with_its_weights(capsys):
    arguments = ["cbam_resnet20", "--weights", "cifar10", "--data", "digits", "--limit", "16", "--json"]
    assert main(["evaluate", *arguments]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["images"] == 16 and result["model"] == "cbam_resnet20" and result["data"] == "digits"


def test_weights_that_the_model_does_not_have_are_named(capsys):
    assert main(["evaluate", "cbam_resnet20", "--weights", "cifar11", "--data", "digits"]) == 1
    assert "cifar10" in capsys.readouterr().err


def test_a_name_with_control_characters_is_shown_escaped(monkeypatch, capsys):
    monkeypatch.setattr("kattn.runs.opening.kind_of", lambda source: "artefact")
    monkeypatch.setattr("kattn.evaluation.evaluation.evaluate", lambda model, **options: f"{model}: 90 %")
    assert main(["evaluate", "a\x1b[2J\n.onnx", "--data", "digits"]) == 0
    assert capsys.readouterr().out == "a\\x1b[2J\\n.onnx: 90 %\n"
