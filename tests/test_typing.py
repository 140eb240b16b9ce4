"""A type checker catches what a user misspells."""

import subprocess
import sys

import pytest

GOOD = "import kattn\nkattn.zoo.se_resnet50(reduction=8, classes=3)\n"
BAD = "import kattn\nkattn.zoo.se_resnet50(reductoin=8)\n"
WRONG = "import kattn\nkattn.zoo.cbam_densenet121(classes='many')\n"
NONE = "import kattn\nkattn.zoo.se_resnet51()\n"


@pytest.mark.slow
def test_mypy_knows_every_builder_and_its_options(tmp_path):
    files = {}
    for name, text in {"good": GOOD, "bad": BAD, "wrong": WRONG, "none": NONE}.items():
        files[name] = tmp_path / f"{name}.py"
        files[name].write_text(text)
    command = [sys.executable, "-m", "mypy", "--ignore-missing-imports", "--config-file=", *map(str, files.values())]
    done = subprocess.run(command, capture_output=True, text=True)
    found = {name: [line for line in done.stdout.splitlines() if f"{name}.py" in line] for name in files}
    assert found["good"] == []
    assert "reductoin" in found["bad"][0]
    assert "classes" in found["wrong"][0]
    assert "se_resnet51" in found["none"][0]
