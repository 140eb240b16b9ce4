"""Small files that would take very much memory: one clear error each, in less than 1 GiB above the idle process."""

import json
import os
import subprocess
import sys

import pytest
from support.bombs import HEAVY, LIGHT, READ

MEGABYTES = 1024
ERRORS = ("DataError", "ValueError", "RunError", "ExportInputError", "UnreadableFile", "UnreadableNpz")


def measured(folder, names):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-m", "support.measuring", str(folder), *names]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=1800, check=True)
    return {row["name"]: row for row in map(json.loads, done.stdout.splitlines())}


def check(row):
    assert row["megabytes"] < MEGABYTES, row
    if row["name"] not in READ:
        assert row["error"] and row["error"][0] in ERRORS and row["error"][1], row


@pytest.fixture(scope="module")
def light(tmp_path_factory):
    return measured(tmp_path_factory.mktemp("bombs"), LIGHT)


@pytest.mark.parametrize("name", LIGHT)
def test_a_bomb_is_one_clear_error_and_takes_little(name, light):
    check(light[name])


@pytest.fixture(scope="module")
def heavy(tmp_path_factory):
    return measured(tmp_path_factory.mktemp("bombs"), HEAVY)


@pytest.mark.slow
@pytest.mark.parametrize("name", HEAVY)
def test_a_large_bomb_is_one_clear_error_and_takes_little(name, heavy):
    check(heavy[name])
