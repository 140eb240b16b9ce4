"""The Pareto front, and what is read back."""

import json

import pytest

from kattn.tuning import read_best
from kattn.tuning.results import front


def test_the_front_by_hand():
    points = [(0.9, -10), (0.8, -5), (0.8, -6), (0.7, -5), (0.95, -20), (0.9, -10)]
    assert front(points) == [True, True, False, False, True, True]


def test_what_is_no_best_json_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"cannot be read"):
        read_best(tmp_path / "nothing.json")
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(ValueError, match="no JSON"):
        read_best(tmp_path / "a.json")
    (tmp_path / "a.json").write_text(json.dumps({"model": "resnet20"}))
    with pytest.raises(ValueError, match="has no options, recipe"):
        read_best(tmp_path / "a.json")
