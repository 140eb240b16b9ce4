"""The JSON files of a search, and the error of a search that cannot go on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kattn.reading import Unreadable, read_json

# Fields of a trial's record, with their types.
TRIAL: dict[str, tuple[type, ...]] = {
    "status": (str,),
    "accuracy": (int, float),
    "epochs": (int,),
    "model": (str,),
    "values": (dict,),
    "options": (dict,),
    "recipe": (dict,),
    "costs": (dict,),
}


class SearchError(RuntimeError):
    """A search that cannot go on, or a folder that cannot be used as asked; the message says what to do."""


def read_record(file: Path, fields: Mapping[str, tuple[type, ...]] | None = None) -> dict[str, Any]:
    """The content of one of a search's JSON files; `fields` are those that it must have, with their types.

    Raises: SearchError for a damaged file, and one that cannot be read.
    """
    try:
        content = read_json(file)
    except OSError as error:
        raise SearchError(f"{file} cannot be read: {error.strerror}.") from error
    except Unreadable as error:
        raise SearchError(f"{file} {error}. overwrite=True starts anew.") from error
    for name, kinds in (fields or {}).items():
        if not isinstance(content.get(name), kinds):
            raise SearchError(f"{file} is damaged: {name} is {content.get(name)!r:.60}. overwrite=True starts anew.")
    return content
