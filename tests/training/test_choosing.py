"""Which recipe a training takes by itself."""

import re

import keras
import numpy as np
import pytest
from support.training import EAGER, arrays, tiny_model

from kattn.cli.main import main
from kattn.data.dataset import Dataset, Split
from kattn.runs.folder import RunFolder
from kattn.training.choosing import choose_recipe
from kattn.training.recipes import load_recipe
from kattn.training.run import train


@pytest.mark.parametrize(
    ("images", "pretrained", "recipe"),
    [(999, False, "small_data"), (1000, False, "quick"), (999, True, "finetune"), (50_000, True, "finetune")],
)
def test_the_number_of_images_and_weights_decide(images, pretrained, recipe):
    split = Split(np.zeros((images, 1, 1, 3), "uint8"), np.zeros(images, "int32"))
    empty = split.take(slice(0, 0))
    name, why = choose_recipe(Dataset("d", ("a", "b"), split, empty, empty), pretrained)
    assert name == recipe and ("weights" in why if pretrained else str(images) in why)


def test_both_recipes_are_careful():
    for name in ("finetune", "small_data"):
        recipe = load_recipe(name)
        assert recipe.clip_norm and recipe.warmup_epochs >= 1 and recipe.learning_rate <= 0.01
    assert load_recipe("finetune").head_epochs == 2 and load_recipe("finetune").body_rate < 1


def test_the_command_line_chooses_and_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(keras.Model, "run_eagerly", EAGER)
    monkeypatch.chdir(tmp_path)
    small = ["--set", "depths=(1, 1, 1)", "--set", "widths=(4, 4, 8)", "--limit", "16", "--epochs", "1"]
    assert main(["train", "resnet20", *small]) == 0
    assert "recipe small_data: 16 training images are fewer than 1000" in capsys.readouterr().out
    assert RunFolder("runs/resnet20-digits-small_data-0").config()["recipe"]["name"] == "small_data"


def test_in_python_it_is_asked_for(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(keras.Model, "run_eagerly", EAGER)
    options = {"data": arrays(60), "overrides": {"epochs": 1}, "out": tmp_path / "r"}
    train(tiny_model(classes=3), recipe="auto", **options)
    assert re.search(r"^recipe small_data: 42 training images", capsys.readouterr().out, re.MULTILINE)
    train(tiny_model(classes=3), recipe="auto", resume=True, **options)
    train(tiny_model(classes=3), overwrite=True, verbose=False, **options)
    assert RunFolder(tmp_path / "r").config()["recipe"]["name"] == "quick"
