"""What the benchmarks import from kattn, inside functions too, is there."""

import ast
import importlib
import importlib.util
from pathlib import Path

import pytest

SCRIPTS = sorted((Path(__file__).parents[1] / "benchmarks").rglob("*.py"))


def imported(script):
    """(module, names) of every import of kattn."""
    for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, []) for alias in node.names if alias.name.split(".")[0] == "kattn")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "kattn":
            yield node.module, [alias.name for alias in node.names]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_what_a_benchmark_imports_exists(script):
    for module, names in imported(script):
        found = importlib.import_module(module)
        lacking = [n for n in names if not hasattr(found, n) and importlib.util.find_spec(f"{module}.{n}") is None]
        assert not lacking, f"{module} has no {', '.join(lacking)}"
