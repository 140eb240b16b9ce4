"""Files of published weights: from the cache, from this package, or from where they are published.

A file is given out only after its hash was checked, on every use. What is fetched lies beside its place until it is
whole and right, so that no other process and no later run meets half of it; two processes that want the same file fetch
it once. The variables of the cache are in `cache.py`; further:

    KATTN_MIRROR    asked before the URL of a file: <mirror>/<host>/<path>; for the hub it is HF_ENDPOINT
    HTTPS_PROXY     and the other usual variables are followed
"""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path

from kattn.archive import ArchiveError, ArchiveTooLarge, copy_member
from kattn.files import writing
from kattn.zoo.weights.cache import (
    Damaged,
    FetchError,
    cache_folder,
    cached,
    check,
    compare,
    file_name,
    is_own_file,
    locked,
    offline,
    place,
    record_path,
)
from kattn.zoo.weights.manifest import Entry
from kattn.zoo.weights.transfer import BY_HAND, TIMEOUT, discard, download

logger = logging.getLogger("kattn")

EXPANSION = 4  # times the size of a published archive that its file may have


def fetch(entry: Entry, cache_dir: str | os.PathLike[str] | None = None) -> Path:
    """The file of an entry of the manifest, whole and right.

    Raises: FetchError, an OSError, where it cannot be had (no connection, offline, not found, no room, a cache that
        cannot be written) or is not what the manifest or the first use recorded.
    """
    if entry.local is not None:
        return _packaged(entry.local, entry)
    home = cache_folder(cache_dir)
    name = file_name(entry)
    found = cached(entry, home)
    if found is not None:
        try:
            check(found, entry, home)
            return found
        except Damaged as problem:
            if offline():
                raise FetchError(
                    f"{found} is damaged ({problem}), and fetching it anew is switched off (KATTN_OFFLINE). Delete it, "
                    "or go online once."
                ) from None
            logger.warning("%s is damaged (%s): fetched anew", found, problem)
    elif offline():
        raise FetchError(
            f"weights {entry.tag} of {entry.model} are not in the cache {home}, and fetching is switched off "
            "(KATTN_OFFLINE). Go online once, or copy the cache of a machine that has them. They come from "
            f"{entry.source}"
        )
    with locked(home, name):
        if entry.hub:
            return _from_hub(entry, home, anew=found is not None)
        return _from_url(entry, home)


def _packaged(path: Path, entry: Entry) -> Path:
    try:
        if not path.is_file():
            raise Damaged("the file is missing")
        compare(path, entry.hash)
    except Damaged as problem:
        raise FetchError(f"weights that come with kattn: {path}: {problem}. Install kattn anew.") from None
    return path


def _from_hub(entry: Entry, home: Path, *, anew: bool) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, RepositoryNotFoundError

    for last in (False, True):
        try:
            path = Path(
                hf_hub_download(
                    entry.hub,
                    entry.file,
                    revision=entry.revision,
                    cache_dir=home / "hub",
                    endpoint=os.environ.get("HF_ENDPOINT"),
                    force_download=anew or last,
                    etag_timeout=TIMEOUT,
                )
            )
        except (RepositoryNotFoundError, EntryNotFoundError) as problem:
            raise FetchError(f"{entry.source} is not there ({_line(problem)}). {_instead(entry, home)}") from None
        except HfHubHTTPError as problem:
            raise FetchError(
                f"{entry.source}: the hub refused it ({_line(problem)}). {_instead(entry, home)}"
            ) from None
        except (OSError, RuntimeError, ValueError) as problem:
            raise _not_fetched(problem, entry, home) from None
        try:
            check(path, entry, home)
            return path
        except Damaged as problem:
            if last:
                raise FetchError(_wrong(entry, home, problem)) from None
    raise AssertionError("the second try returns or raises")


def _from_url(entry: Entry, home: Path) -> Path:
    target = place(entry, home)
    if is_own_file(target):  # another process may have been faster
        with contextlib.suppress(Damaged):
            check(target, entry, home)
            return target
    part = target.with_name(f"{target.name}.part")
    try:
        for last in (False, True):
            download(entry.url, part)
            whole = _unpacked(part, entry) if entry.url.endswith(".zip") else part
            try:
                check(whole, entry, home)
            except Damaged as problem:
                # What was resumed may be of two versions of the file: once more from the start.
                discard(part, whole)
                if last:
                    raise FetchError(_wrong(entry, home, problem)) from None
                continue
            os.replace(whole, target)
            discard(part)
            return target
    except FetchError:
        raise
    except OSError as problem:
        discard(part)
        raise _not_fetched(problem, entry, home) from None
    raise AssertionError("the second try returns or raises")


def _unpacked(archive: Path, entry: Entry) -> Path:
    """The one file of a zip archive that the manifest names, of a size that fits the archive's."""
    member = archive.with_name(f"{archive.name}.file")
    limit = EXPANSION * archive.stat().st_size + (1 << 20)
    try:
        with writing(member) as temporary, temporary.open("wb") as file:
            copy_member(archive, entry.file, file, limit)
    except ArchiveTooLarge:
        discard(archive)
        raise FetchError(
            f"{entry.source}: the archive swells to many times its size, more than {limit >> 20} MB, and was not "
            "unpacked."
        ) from None
    except ArchiveError as problem:
        discard(archive)
        raise FetchError(f"{entry.source} is not an archive with {entry.file}: {problem}. Try again later.") from None
    return member


def _wrong(entry: Entry, home: Path, problem: Exception) -> str:
    record = record_path(entry, home)
    change = f" If its publisher changed the file, delete {record}." if record.exists() else ""
    return f"{entry.source}: {problem}. It was not used; the connection or the source is at fault.{change}"


def _instead(entry: Entry, home: Path) -> str:
    return (
        f"See kattn.zoo.info({entry.model!r}).weights for other tags, or get the file by other means and give its path "
        f"as weights=. (cache: {home})"
    )


def _not_fetched(problem: Exception, entry: Entry, home: Path) -> FetchError:
    return FetchError(
        f"{entry.source} could not be fetched into {home}: {_line(problem)}. Check the connection, the room on the "
        f"disk and the folder's permissions; KATTN_CACHE or cache_dir= name another folder. {BY_HAND}"
    )


def _line(problem: Exception) -> str:
    return str(problem).splitlines()[0] if str(problem) else type(problem).__name__
