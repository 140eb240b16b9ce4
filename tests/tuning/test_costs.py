"""Costs are measured before training, and weigh in the score."""

import pytest
from support.searching import SPACE, pretend, pretended_train

from kattn.tuning import trials, tune


@pytest.mark.slow
def test_several_objectives_measure_the_int8_file(tmp_path, monkeypatch):
    monkeypatch.setattr(trials, "train", pretended_train([]))
    options = {"space": {**SPACE, "reduction": [8]}, "limit": 64, "overrides": {"epochs": 1}, "verbose": False}
    options |= {"budget": {"latency_ms": 10_000}, "objective": ["accuracy", "int8_bytes"]}
    (row,) = tune("se_resnet20", out=tmp_path / "s", **options).trials
    assert 10_000 < row["int8_bytes"] < 40_000 and row["latency_ms"] > 0
    assert row["score"] == row["accuracy"]  # the reference is this very candidate
    assert list(row)[-6:] == ["parameters", "macs", "int8_bytes", "latency_ms", "front", "model"]


def test_a_cost_in_the_objective_weighs_as_in_mnasnet(pretended, tmp_path):
    options = {"objective": ["accuracy", "parameters"], "space": {"reduction": [8, 9, 40]}}
    found = pretend(tmp_path / "s", budget={"parameters": 250}, **options)
    for row in found.trials:
        assert row["score"] == pytest.approx(row["accuracy"] * (row["parameters"] / 250) ** -0.07)
    assert [row["front"] for row in found.trials] == [True, True, True]
    assert found.front == found.trials
    assert pretend(tmp_path / "t", **options).best["values"] == found.best["values"]  # the reference changes no rank
