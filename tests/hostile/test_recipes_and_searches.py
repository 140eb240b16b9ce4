"""Recipes and searches of strangers: finite settings of their types, one clear error each, nothing downloaded."""

import json

import pytest

from kattn.cli.main import main
from kattn.training.recipes import Recipe, load_recipe
from kattn.tuning.results import read_best

GOOD = {"epochs": 1, "batch_size": 8}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 10**12),
        ("epochs", float("inf")),
        ("epochs", 1.5),
        ("epochs", "3"),
        ("batch_size", 10**9),
        ("learning_rate", float("inf")),
        ("learning_rate", 1e308),
        ("learning_rate", 10**400),
        ("factor", float("nan")),
        ("factor", float("inf")),
        ("factor", -1),
        ("momentum", float("nan")),
        ("mixup", 1e300),
        ("milestones", [float("nan")]),
        ("milestones", [0.5] * 1001),
        ("nesterov", 1),
        ("summary", 3),
    ],
)
def test_settings_of_a_recipe_are_finite_and_of_their_type(name, value):
    with pytest.raises(ValueError, match=name):
        load_recipe(GOOD | {name: value})
    with pytest.raises(ValueError, match=name):
        load_recipe(GOOD, {name: value})
    if name not in ("summary", "nesterov", "epochs") and not (isinstance(value, float) and name == "milestones"):
        with pytest.raises(ValueError, match=name):
            Recipe(**(GOOD | {name: tuple(value) if isinstance(value, list) else value}))


def test_more_epochs_of_a_broken_recipe_are_no_other_error():
    with pytest.raises(ValueError, match="warmup_epochs must be a number"):
        load_recipe(GOOD | {"warmup_epochs": "x"}, {"epochs": 3})
    with pytest.raises(ValueError, match="epochs must be a whole number"):
        load_recipe(GOOD | {"warmup_epochs": 0.5}, {"epochs": "x"})


@pytest.mark.parametrize(
    "content", ["a" * 70_000, "a." * 2_000 + "a = 1", "a = " + "[" * 1500, "\x00", "epochs = " + "1" * 1900]
)
def test_a_file_that_is_no_recipe_is_one_clear_error(tmp_path, content):
    (tmp_path / "r.toml").write_text(content)
    with pytest.raises(ValueError, match=r"r\.toml|epochs|batch_size"):
        load_recipe(tmp_path / "r.toml")


BEST_JSON = {"model": "resnet20", "options": {}, "recipe": GOOD, "data": "digits", "seed": 0, "image_size": None}
BEST_JSON |= {"validation": 0.1, "data_dir": None}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seed", "/etc/passwd"),
        ("seed", 1.5),
        ("seed", True),
        ("model", ["resnet20"]),
        ("options", "x"),
        ("recipe", "/etc/passwd.toml"),
        ("data", {"train": "x"}),
        ("image_size", "x"),
        ("validation", "x"),
        ("data_dir", 3),
    ],
)
def test_best_json_holds_what_kattn_tune_writes(tmp_path, name, value):
    (tmp_path / "best.json").write_text(json.dumps(BEST_JSON | {name: value}))
    with pytest.raises(ValueError, match=rf"best\.json is damaged: {name} is .* takes the best\.json of kattn tune"):
        read_best(tmp_path)


def test_training_from_a_strangers_search_downloads_nothing(tmp_path, no_download, monkeypatch, capsys):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "mine"))
    (tmp_path / "best.json").write_text(json.dumps(BEST_JSON | {"data": "mnist", "data_dir": str(tmp_path / "theirs")}))
    monkeypatch.chdir(tmp_path)
    command = ["train", "--from", str(tmp_path / "best.json")]
    assert main(command) == 1 and "names the data 'mnist'" in (said := capsys.readouterr().err)
    assert "pass --data mnist" in said and no_download == []
    assert main([*command, "--data", "mnist"]) == 1 and no_download == [("mnist", None)]
