"""The cache of fetched files: where it is, which of its files are right, and one process at a time for each.

    KATTN_CACHE     folder of the cache (default: kattn in XDG_CACHE_HOME, else ~/.cache/kattn); cache_dir= comes first
    KATTN_OFFLINE   1: use the cache only (HF_HUB_OFFLINE does the same)

A cache may be shared with other users. No symbolic link in it is followed. A file that another user put there is used
only if its hash is published; root's files are trusted.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import logging
import os
import re
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kattn.files import reason, write_text
from kattn.locking import InUse
from kattn.locking import locked as held
from kattn.zoo.weights.manifest import Entry

logger = logging.getLogger("kattn")

LOCK_TIMEOUT = 3600.0
TRUE = ("1", "true", "yes", "on")
SHA256 = re.compile(r"[0-9a-f]{64}")


class FetchError(OSError):
    """A file could not be had; the message says what to do."""


class Damaged(Exception):
    """A file is not what it should be."""


def cache_folder(cache_dir: str | os.PathLike[str] | None = None) -> Path:
    """Where fetched files are kept: the argument, else KATTN_CACHE, else the user's cache."""
    if cache_dir or os.environ.get("KATTN_CACHE"):
        return Path(cache_dir or os.environ["KATTN_CACHE"]).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kattn"


def offline() -> bool:
    """Whether the environment forbids fetching."""
    return any(os.environ.get(name, "").lower() in TRUE for name in ("KATTN_OFFLINE", "HF_HUB_OFFLINE"))


def file_name(entry: Entry) -> str:
    """The name of an entry's file in the cache. Raises ValueError for a name that is a path, or none at all."""
    name = entry.file if entry.hub or entry.file else urllib.parse.urlsplit(entry.url).path.rpartition("/")[2]
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*", name) or ".." in name:
        raise ValueError(f"weights {entry.tag} of {entry.model}: {name!r} is not the name of a file.")
    return f"{hashlib.sha256(entry.source.encode()).hexdigest()[:10]}-{name}"


def place(entry: Entry, home: Path) -> Path:
    """Where the file of an entry that has a URL lies in the cache."""
    return home / "files" / file_name(entry)


def cached(entry: Entry, home: Path) -> Path | None:
    """The entry's file in the cache, unchecked; None where there is none."""
    if not entry.hub:
        path = place(entry, home)
        return path if is_own_file(path) else None
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(entry.hub, entry.file, cache_dir=home / "hub", revision=entry.revision)
    return Path(found) if isinstance(found, str) and Path(found).is_file() else None


def is_own_file(path: Path) -> bool:
    """Whether there is a file, and not a link to one."""
    return path.is_file() and not path.is_symlink()


# ---------------------------------------------------------------- is it right


def check(path: Path, entry: Entry, home: Path) -> None:
    """Compare a cached file with the manifest's hash, the hub's, and the first use's. Raises Damaged."""
    if entry.hash:
        compare(path, entry.hash)
        if not entry.weak_hash:
            return None
    digest = _digest(path, "sha256")
    blob = path.resolve().name if entry.hub else ""  # the hub's cache names large files by their hash
    if SHA256.fullmatch(blob) and blob != digest:
        raise Damaged("it has not the hash that the hub states")
    if owner := _stranger(path):
        raise Damaged(
            f"it was put there by user {owner}, and no {'strong ' if entry.hash else ''}hash of it is published"
        )
    record = _record(entry, home)
    if record is None:
        return _remember(entry, home, digest, path)
    if record["sha256"] != digest:
        raise Damaged(f"it is not the file of {record['date']}, when it was first used")
    return None


def compare(path: Path, expected: str) -> None:
    """Compare a file with a hash, algorithm:digits. Raises Damaged."""
    algorithm, _, digits = expected.partition(":")
    if len(digits) < 8:
        raise Damaged("no hash is known for it")
    digest = _digest(path, algorithm)
    if not digest.startswith(digits):
        raise Damaged(f"its {algorithm} begins {digest[: len(digits)][:12]}, not {digits[:12]}")


def _digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def _stranger(path: Path) -> int:
    """The number of the user to whom a file belongs, where that is neither this user nor root; else 0."""
    if not hasattr(os, "geteuid"):  # Windows
        return 0
    owner = path.stat().st_uid
    return 0 if owner == os.geteuid() else owner


def record_path(entry: Entry, home: Path) -> Path:
    """Where the hash of an entry's first download is kept."""
    return home / "records" / f"{file_name(entry)}.json"


def _record(entry: Entry, home: Path) -> dict[str, Any] | None:
    path = record_path(entry, home)
    try:
        record = json.loads(path.read_text(encoding="utf-8")) if is_own_file(path) and not _stranger(path) else None
    except (OSError, ValueError, RecursionError):
        return None
    valid = isinstance(record, dict) and SHA256.fullmatch(str(record.get("sha256"))) and "date" in record
    return record if valid else None


def _remember(entry: Entry, home: Path, digest: str, path: Path) -> None:
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    record = {"source": entry.source, "sha256": digest, "bytes": path.stat().st_size, "date": today}
    target = record_path(entry, home)
    with contextlib.suppress(OSError):  # in a cache that cannot be written root put the file
        target.parent.mkdir(parents=True, exist_ok=True)
        write_text(target, json.dumps(record, indent=1))
        logger.info("%s: first use, recorded sha256 %s", entry.source, digest)


# ---------------------------------------------------------------- one at a time


@contextlib.contextmanager
def locked(home: Path, name: str) -> Iterator[None]:
    """One process at a time for one file. Raises: FetchError for a cache that cannot be written, or after an hour."""
    with contextlib.ExitStack() as stack:
        try:
            (home / "locks").mkdir(parents=True, exist_ok=True)
            stack.enter_context(held(home / "locks" / f"{name}.lock", wait=LOCK_TIMEOUT))
        except InUse:
            raise FetchError(f"another process has been fetching {name} for an hour; stop it, or try later.") from None
        except OSError as problem:
            raise FetchError(
                f"the cache {home} cannot be written ({reason(problem)}). Set KATTN_CACHE or cache_dir= to a folder "
                "of yours."
            ) from None
        yield
