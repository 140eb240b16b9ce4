"""A command that is killed at any moment leaves nothing that looks finished and is not; called again it gives the same.

tests/training/test_resuming.py, tests/tuning/test_search.py and tests/export/test_killed.py kill at chosen moments.
"""

import json
import subprocess
import sys

import pytest
from support import TESTS

COMMANDS = ("convert", "convert back", "train", "tflite", "onnx", "saved_model", "tune", "compare")
TRIES = 30


def killed(folder, *jobs):
    """What became of the jobs, by command; see `moments` in tests/support/killed.py."""
    command = [sys.executable, str(TESTS / "support" / "killed.py"), "moments", str(folder), "0", *jobs]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_at_random_moments(name, tmp_path, capsys):
    found = killed(tmp_path, f"{name}/{TRIES}")[name]
    with capsys.disabled():
        print(f"\n{name}: {found['seconds']:.1f} s, killed {len(found['tries'])} times", end="")
    assert len(found["tries"]) == TRIES
    assert not [one for one in found["tries"] if one["wrong"] or one["again"] or one["after"]], found["tries"]
