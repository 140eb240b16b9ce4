"""A process that is killed, at any moment, leaves no artefact that is not whole, and nothing that hinders the next."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import numpy as np
import pytest
from support import TESTS

from kattn.export import load, onnx, saved_model, tflite

SCRIPT = TESTS / "support" / "killed.py"


def run(*arguments):
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_at_every_rename(tmp_path):
    """What has its final name is whole, old or new, and its report is about it or missing."""
    states = run("renames", tmp_path)
    assert {state["kind"] for state in states} == {"one file", "two files", "folder"}
    for state in states:
        if not state["killed"]:
            continue
        assert state["killed"] == signal.SIGKILL and state["then"]["stages"] == 1
        there, later = state["then"], state["later"]
        for found in (there, later):
            age = found["artefact"]
            assert age in ({None, "new", "old"} if state["earlier"] else {None, "new"}), state
            if age is not None:
                assert found["data"] == (age if state["kind"] == "two files" else None), state
                assert found["report"] in (None, age), state
        if state["earlier"]:
            # A folder and two files have no name for a moment; it is given back.
            if state["kind"] == "one file":
                assert there["artefact"] is not None, state
            assert later["artefact"] is not None, state
        assert later["stages"] == 0, state
    died = [state for state in states if state["killed"]]
    assert {s["then"]["artefact"] for s in died if s["earlier"]} == {None, "new", "old"}
    assert {s["then"]["artefact"] for s in died if not s["earlier"]} == {None, "new"}
    assert {s["then"]["artefact"] for s in states if not s["killed"]} == {"new"}


MOMENTS = ("converting", "written", "renaming")
CASES = ("renaming/data/m.onnx", *(f"{moment}/{name}" for name in ("m", "m.tflite", "m.onnx") for moment in MOMENTS))


@pytest.mark.slow
def test_in_every_format(model, images, tmp_path):
    """Killed while converting, with the artefact under its temporary name, and when all checks have passed.

    tests/hostile/test_killed.py kills at random moments.
    """
    model.save(tmp_path / "model.keras")
    ended = run("exports", tmp_path / "model.keras", tmp_path, *CASES)
    assert ended == dict.fromkeys(CASES, signal.SIGKILL)
    for target in map(tmp_path.joinpath, ended):
        (stage,) = target.parent.glob(f".{target.name}.????????.tmp")
        assert [path for path in target.parent.glob(f"{target.name}*")] == []
        assert (stage / "new" / target.name).exists() or target.parts[-2] == "converting"
    expected = model.predict(images.astype("float32"), verbose=0)
    export = {"m": saved_model, "m.tflite": tflite, "m.onnx": onnx}
    for target in [tmp_path / case for case in CASES if not case.startswith("renaming/data")]:
        export[target.name](model, target)
        assert not list(target.parent.glob(f".{target.name}.????????.tmp"))
        np.testing.assert_allclose(load(target)(images)["predictions"], expected, atol=1e-4)
