"""The wheel holds what the tree holds, and works where the tree is not."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = {"kattn": "kattn", "zoo": "kattn/zoo", "export": "kattn/export"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        str(ROOT),
        "--no-deps",
        "--no-build-isolation",
        "-q",
        "-w",
        str(folder),
    ]
    subprocess.run(command, check=True, capture_output=True)
    return next(folder.glob("kattn-*.whl"))


def test_it_holds_every_module_and_data_file_once(wheel):
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    expected = set()
    for source, target in SOURCES.items():
        for path in (ROOT / source).rglob("*"):
            relative = path.relative_to(ROOT / source)
            linked = source == "kattn" and relative.parts[0] in ("zoo", "export")
            if path.is_file() and not linked and "__pycache__" not in relative.parts and path.suffix != ".partial":
                expected.add(f"{target}/{relative.as_posix()}")
    assert inside == expected


def test_it_is_licensed_and_typed(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert "kattn/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_it_imports_elsewhere(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path)
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "import kattn, kattn.zoo, kattn.export\n"
        f"assert kattn.zoo.__file__.startswith({str(tmp_path)!r}), kattn.zoo.__file__\n"
        "assert kattn.zoo.create('se_resnet20').count_params() > 0\n"
        "from kattn.training.recipes import load_recipe; load_recipe('quick')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, capture_output=True)
