"""Files are written beside their place and then renamed into it, so that readers see whole files only."""

from __future__ import annotations

import contextlib
import csv
import errno
import io
import json
import os
import re
import stat
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeGuard

PREFIX = ".writing-"
A_DAY = 24 * 3600.0  # seconds
FORMULAS = ("=", "+", "-", "@", "\t", "\r")  # with which a spreadsheet takes a cell for a formula
NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", re.IGNORECASE)


@contextlib.contextmanager
def writing(path: str | Path) -> Iterator[Path]:
    """A new, empty file beside `path` to write to; it takes the place of `path` when the block ends without an error.

    The file has a random name that ends as `path` does, is created exclusively, and is removed when the block fails.
    A symbolic link at `path` is replaced, never followed.

    Raises: OSError that names `path` and the reason, such as a full disk; what was at `path` is then as it was.
    """
    path = Path(path)
    with naming(path):
        handle, name = tempfile.mkstemp(prefix=PREFIX, suffix=f"-{path.name}", dir=path.parent)
    temporary = Path(name)
    try:
        with naming(path):
            os.fchmod(handle, 0o666 & ~_umask()) if hasattr(os, "fchmod") else None
            os.close(handle)
            yield temporary
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def make_folder(path: str | Path) -> None:
    """Make a folder, and those that it lies in, where there is none. Raises: OSError that names it and the reason."""
    path = Path(path)
    with naming(path):
        path.mkdir(parents=True, exist_ok=True)


def write_bytes(path: str | Path, content: bytes) -> None:
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

    Numbers are written in full, so that equal tables are equal files. Text that a spreadsheet would take for a formula
    gets a single quote before it; `kattn.reading.read_rows` takes it away. Raises: OSError, see `writing`.
    """
    columns = columns or list(rows[0])
    lines = [_line(columns)]
    for row in rows:
        if unknown := row.keys() - set(columns):
            raise ValueError(f"{path}: no column is named {', '.join(map(str, unknown))}")
        lines.append(_line([row.get(name, "") for name in columns]))
    write_text(path, "".join(lines))


def _line(cells: Sequence[Any]) -> str:
    """A line of a table. Python quotes what ends lines only where lines end in both CR and LF; these end in LF."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow([quoted(cell) for cell in cells])
    return f"{line.getvalue()[:-2]}\n"


def quoted(cell: Any) -> Any:
    """A cell as `write_csv` writes it: text that begins as a formula, and is no number, behind a single quote."""
    if not isinstance(cell, str) or cell.lstrip("'")[:1] not in FORMULAS or NUMBER.fullmatch(cell):
        return cell
    return f"'{cell}"


def unquoted(cell: str) -> str:
    """The text that `quoted` was given."""
    return cell[1:] if cell[:1] == "'" and cell.lstrip("'")[:1] in FORMULAS else cell


def remove_unfinished(folder: str | Path, names: Collection[str]) -> None:
    """Remove what a killed process left half-written.

    Args:
        folder: Where to look.
        names: Of the files that nobody but the caller writes. What was left of others is removed when it is a day old.
    """
    for leftover in Path(folder).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            about = leftover.lstat()
            name = leftover.name[len(PREFIX) :].partition("-")[2]
            if not stat.S_ISDIR(about.st_mode) and (name in names or time.time() - about.st_mtime > A_DAY):
                leftover.unlink()


def append_bytes(path: str | Path, content: bytes) -> None:
    """Add to the end of a file, which is made where there is none: all of it, or nothing.

    A symbolic link at `path` is not followed. Raises: OSError that names `path` and the reason, such as a full disk.
    """
    path = Path(path)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
    with naming(path), open(os.open(path, flags, 0o666), "ab", buffering=0) as file:
        before = os.fstat(file.fileno()).st_size
        left = memoryview(content)
        try:
            while left:
                left = left[file.write(left) :]
        except BaseException:
            file.truncate(before)
            raise


def reason(error: OSError) -> str:
    """Why the operating system refused to write, for a message; of a full disk with what to do."""
    text = error.strerror or str(error)
    if is_full(error):
        return f"the disk is full ({text}). Nothing was changed: make room and try again"
    return text


def is_full(error: BaseException) -> TypeGuard[OSError]:
    """Whether the operating system says that the disk is full, or the quota used up."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


@contextlib.contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """Errors of the operating system that say which file was to be written, and why it could not be."""
    try:
        yield
    except OSError as error:
        raise type(error)(error.errno, f"{path} could not be written: {reason(error)}.") from error


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


def counted(number: int, noun: str) -> str:
    """A number with its noun, for messages: "1 epoch", "3 epochs"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
