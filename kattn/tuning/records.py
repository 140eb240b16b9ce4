"""The JSON files of a search, and the error of a search that cannot go on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


class SearchError(RuntimeError):
    """A search that cannot go on, or a folder that cannot be used as asked; the message says what to do."""


def read_record(file: Path) -> dict[str, Any]:
    """The content of one of a search's JSON files.

    Raises: SearchError for a damaged file.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SearchError(f"{file} is damaged ({error}). overwrite=True starts anew.") from error
    if not isinstance(content, dict):
        raise SearchError(f"{file} is damaged: it holds a {type(content).__name__}. overwrite=True starts anew.")
    return content
