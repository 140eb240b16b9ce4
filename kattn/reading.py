"""Small text files whose maker is not known: read in bounded memory, with one kind of error."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kattn.files import unquoted

MOST_BYTES = 32 << 20  # of a file; its values take up to twenty times as much
MOST_CONTAINERS = 500_000  # lists and tables in a JSON file: empty ones take most memory for their text
MOST_TABLE, MOST_ROWS = 16 << 20, 1_000_000  # bytes and rows of a CSV file


class Unreadable(ValueError):
    """A file that is damaged or too large; the message goes on after the file's name: "is damaged: ..."."""


def read_text(file: Path, most: int = MOST_BYTES) -> str:
    """The text of a file in UTF-8. Raises: OSError; Unreadable for other bytes, or more than `most` of them."""
    with open(file, "rb") as opened:
        content = opened.read(most + 1)
    if len(content) > most:
        raise Unreadable(f"has more than {most:,} bytes, and is not read")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Unreadable(f"is damaged: {error}") from None


def read_json(file: Path, most: int = MOST_BYTES) -> dict[str, Any]:
    """The table in a JSON file. Raises: as `read_text`; Unreadable also for JSON that is none, or is no table."""
    text = read_text(file, most)
    if (count := text.count("[") + text.count("{")) > MOST_CONTAINERS:
        raise Unreadable(f"has {count:,} lists and tables, more than {MOST_CONTAINERS:,}, and is not read")
    try:
        content = json.loads(text)
    except ValueError as error:
        raise Unreadable(f"is damaged: it is no JSON, {error}") from None
    except RecursionError:
        raise Unreadable("is damaged: lists within lists without end") from None
    if not isinstance(content, dict):
        raise Unreadable(f"is damaged: it holds a {type(content).__name__} instead of named values")
    return content


def read_rows(file: Path) -> list[dict[str, str]]:
    """The rows of a CSV file by the names in its first line, as `kattn.files.write_csv` wrote them.

    Raises: as `read_text`; Unreadable also for a row with another number of cells.
    """
    lines = csv.reader(io.StringIO(read_text(file, MOST_TABLE), newline=""))
    return list(_rows(lines))


def _rows(lines: Any) -> Iterator[dict[str, str]]:
    try:
        names = [unquoted(cell) for cell in next(lines, [])]
        for number, cells in enumerate(lines):
            if number >= MOST_ROWS:
                raise Unreadable(f"has more than {MOST_ROWS:,} rows, and is not read")
            if len(cells) != len(names):
                raise Unreadable(f"is damaged: line {lines.line_num} has {len(cells)} cells, the first {len(names)}")
            yield dict(zip(names, map(unquoted, cells), strict=True))
    except csv.Error as error:
        raise Unreadable(f"is damaged: {error}") from None
