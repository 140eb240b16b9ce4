"""Files are written beside their place and then renamed into it, so that readers see whole files only."""

from __future__ import annotations

import contextlib
import csv
import errno
import io
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

PREFIX = ".writing-"


@contextlib.contextmanager
def writing(path: str | Path) -> Iterator[Path]:
    """A new, empty file beside `path` to write to; it takes the place of `path` when the block ends without an error.

    The file has a random name that ends as `path` does, is created exclusively, and is removed when the block fails.
    A symbolic link at `path` is replaced, never followed.

    Raises: OSError that names `path` and the reason, such as a full disk; what was at `path` is then as it was.
    """
    path = Path(path)
    with _named(path):
        handle, name = tempfile.mkstemp(prefix=PREFIX, suffix=f"-{path.name}", dir=path.parent)
    temporary = Path(name)
    try:
        with _named(path):
            os.fchmod(handle, 0o666 & ~_umask()) if hasattr(os, "fchmod") else None
            os.close(handle)
            yield temporary
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: str | Path, content: bytes | memoryview) -> None:
    """Write a whole file, or leave what was there. Raises: OSError, see `writing`."""
    with writing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: str | Path, content: str) -> None:
    """Write a whole text file in UTF-8, lines ended as they are. Raises: OSError, see `writing`."""
    write_bytes(path, content.encode("utf-8"))


def write_json(path: str | Path, content: Any) -> None:
    """Write a whole JSON file. Raises: OSError, see `writing`."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def write_csv(path: str | Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str] = ()) -> None:
    """Write a table of `columns`, by default those of the first row, below a line of their names.

    Numbers are written in full, so that equal tables are equal files. Raises: OSError, see `writing`.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, columns or list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def remove_unfinished(folder: str | Path) -> None:
    """Remove what a killed process left half-written; for a caller who knows that nobody is writing there."""
    for leftover in Path(folder).glob(f"{PREFIX}*"):
        if leftover.is_file() or leftover.is_symlink():
            leftover.unlink(missing_ok=True)


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Errors of the operating system that say which file was to be written, and why it could not be."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            reason = f"the disk is full ({reason}). Nothing was changed: make room and try again"
        raise type(error)(error.errno, f"{path} could not be written: {reason}") from error


def _umask() -> int:
    """The process's mask of permissions, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def shown(text: object) -> str:
    """Text on one line, for messages: a file's name may hold what controls a terminal, and bytes that are not UTF-8.

    Such characters are shown escaped.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in str(text))
