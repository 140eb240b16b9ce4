"""The wheel holds what the tree holds, and works where the tree is not."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = {"kattn": "kattn", "zoo": "kattn/zoo", "export": "kattn/export"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy: in the checkout, setuptools would leave a folder whose old modules get into later wheels."""
    source, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in SOURCES:
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    options = ["--no-deps", "--no-build-isolation", "-q", "-w", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", str(source), *options], check=True, capture_output=True)
    return next(folder.glob("kattn-*.whl"))


def test_it_holds_every_module_and_data_file_once(wheel):
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    expected = set()
    for source, target in SOURCES.items():
        for path in (ROOT / source).rglob("*"):
            relative = path.relative_to(ROOT / source)
            linked = source == "kattn" and relative.parts[0] in ("zoo", "export")
            if path.is_file() and not linked and "__pycache__" not in relative.parts:
                expected.add(f"{target}/{relative.as_posix()}")
    assert inside == expected


def test_it_is_licensed_and_typed(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert "kattn/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    folder = tmp_path_factory.mktemp("site-packages")
    zipfile.ZipFile(wheel).extractall(folder)
    return folder


def python(folder, *arguments):
    environment = os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run([sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True)


def test_it_imports_elsewhere(installed):
    code = (
        "import kattn, kattn.zoo, kattn.export\n"
        f"assert kattn.zoo.__file__.startswith({str(installed)!r}), kattn.zoo.__file__\n"
        "assert kattn.zoo.create('se_resnet20').count_params() > 0\n"
        "from kattn.training.recipes import load_recipe; load_recipe('quick')\n"
    )
    done = python(installed, "-c", code)
    assert done.returncode == 0, done.stderr[-2000:]


def test_installed_the_maintainers_programs_write_nothing(installed):
    before = {path: path.stat().st_mtime_ns for path in installed.rglob("*")}
    assert python(installed, "-m", "kattn.publish", "--help").returncode == 0
    done = python(installed, "-m", "kattn.publish", "catalog")
    assert done.returncode == 1 and "Run it in a checkout" in done.stderr
    assert {path: path.stat().st_mtime_ns for path in installed.rglob("*")} == before
