"""`kattn tune` reads choices, ranges and budgets."""

from kattn.cli.main import main


def test_choices_ranges_and_budgets(monkeypatch):
    given = {}
    monkeypatch.setattr("kattn.tuning.search.tune", lambda name, **options: given.update(options, name=name))
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
