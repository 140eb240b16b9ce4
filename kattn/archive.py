"""One file out of a zip archive whose maker is not known."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO

CHUNK = 1 << 20


class ArchiveError(Exception):
    """An archive that cannot be read, or does not have the file."""


class ArchiveTooLarge(ArchiveError):
    """A file that swells beyond what it may have."""


def copy_member(archive: Path, name: str, target: BinaryIO, limit: int) -> None:
    """Copy one file of an archive. Nothing else of it is read.

    Args:
        archive: The zip file.
        name: Of the file within it.
        target: What is written to; where copying fails it holds a part of the file.
        limit: Most bytes that it may have, whatever the archive says of its size.

    Raises: ArchiveTooLarge beyond the limit; ArchiveError for a file that is no archive, is damaged, asks for a
        password or for a compression that Python does not have, or lacks the file; OSError of the file system.
    """
    try:
        with zipfile.ZipFile(archive) as content, content.open(name) as stored:
            while chunk := stored.read(CHUNK):
                limit -= len(chunk)
                if limit < 0:
                    raise ArchiveTooLarge(f"{name} is larger than it may be")
                target.write(chunk)
    # RuntimeError: a password is asked for, or Python does not have the compression. ValueError: a damaged directory.
    except (zipfile.BadZipFile, zlib.error, KeyError, RuntimeError, EOFError, ValueError) as problem:
        raise ArchiveError(str(problem)) from None
