"""Damaged files of every kind: a result or a documented error, never a death, a hang, or a write outside."""

import importlib.util

import pytest
from support.fuzzing import READERS, tries, tries_apart

FEW, MANY = 12, 2000
HEAVY = {"saved_model": 4, "keras": 4, "model.json": 4, "weights.h5": 6, "tfrecord": 8, "config.json": 8}
NEEDS = {"torch": "torch"}


def skip_without(name):
    if name in NEEDS and importlib.util.find_spec(NEEDS[name]) is None:
        pytest.skip(f"{NEEDS[name]} is not installed")


@pytest.mark.parametrize("name", READERS)
def test_a_damaged_file_is_read_or_one_clear_error(name, tmp_path, monkeypatch):
    skip_without(name)
    monkeypatch.chdir(tmp_path)
    outcome = tries(name, 0, HEAVY.get(name, FEW), tmp_path)
    assert outcome.findings == []


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_thousands_of_damaged_files_are_read_or_one_clear_error(name, tmp_path):
    skip_without(name)
    outcome = tries_apart(name, 0, MANY, tmp_path)
    print(f"{name}: {dict(outcome.counts)}, {outcome.megabytes:.0f} MB more")
    assert outcome.findings == [] and sum(outcome.counts.values()) == MANY
