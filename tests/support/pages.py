"""The samples of a documentation page, and a reader who pastes them one after another."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from support import TESTS

ROOT = TESTS.parent
PAGES = {path.name: path for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))}
SHELL = ("sh", "bash")
FENCE = re.compile(r"^( *)```(\w*)[ ]?(\S*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """Code between fences.

    Attributes:
        language: The first word of the fence.
        name: Its second word: the file that a reader saves the code to instead of running it.
        text: The code.
        line: Where it begins on the page.
    """

    language: str
    name: str
    text: str
    line: int


def blocks_of(page: Path) -> list[Block]:
    """All code of a page in its order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            found[2],
            found[3],
            re.sub(rf"^{found[1]}", "", found[4], flags=re.MULTILINE),
            text[: found.start(4)].count("\n") + 1,
        )
        for found in FENCE.finditer(text)
    ]


def run_page(
    page: Path, blocks: list[Block], folder: Path, before: str = "", replaced: dict[str, str] | None = None
) -> str:
    """Run blocks in one fresh process and in a folder of their own; each command of a shell is a process besides.

    Args:
        page: Its name stands in tracebacks, with the lines of the page.
        blocks: Of Python, of a shell, or with a name.
        folder: Where they run.
        before: Python that makes what the page says its reader has.
        replaced: Text of the blocks by what stands for it.

    Returns: What was printed.
    """
    programs = folder / "programs"
    programs.mkdir()
    for name, module in (("kattn", "-m kattn"), ("python", "")):
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {module} "$@"\n')
        (programs / name).chmod(0o755)
    place = folder / "place"
    place.mkdir()
    environment = os.environ | {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(TESTS)]),
        "PYTHONUNBUFFERED": "1",
        "TFDS_DATA_DIR": str(folder / "tfds"),
        "KATTN_CACHE": str(folder / "cache"),
        "KATTN_OFFLINE": "1",
    }
    for old, new in (replaced or {}).items():
        blocks = [replace(block, text=block.text.replace(old, new)) for block in blocks]
    told = json.dumps({"page": page.name, "before": before, "blocks": [asdict(block) for block in blocks]})
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("pasting.py"))],
        input=told, cwd=place, env=environment, text=True, capture_output=True, timeout=3600,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-6000:]}"
    return done.stdout
