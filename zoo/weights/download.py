"""Files of published weights: from the cache, from this package, or from where they are published.

A file is given out only after its hash was checked, on every use. What is fetched lies beside its place until it is
whole and right, so that no other process and no later run meets half of it; two processes that want the same file fetch
it once.

    KATTN_CACHE     folder of the cache (default: kattn in XDG_CACHE_HOME, else ~/.cache/kattn); cache_dir= comes first
    KATTN_OFFLINE   1: use the cache only (HF_HUB_OFFLINE does the same)
    KATTN_MIRROR    asked before the URL of a file: <mirror>/<host>/<path>; for the hub it is HF_ENDPOINT
    HTTPS_PROXY     and the other usual variables are followed
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import http.client
import json
import logging
import os
import re
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kattn.zoo.weights.archive import ArchiveError, ArchiveTooLarge, take_out
from kattn.zoo.weights.manifest import Entry

logger = logging.getLogger("kattn")

TIMEOUT = 30.0  # seconds without a byte
WAITS = (0.5, 1.0, 2.0, 4.0)  # seconds before each new try
LOCK_TIMEOUT = 3600.0
CHUNK = 1 << 20
RETRIED = (408, 425, 429, 500, 502, 503, 504)
TRUE = ("1", "true", "yes", "on")
SHA256 = re.compile(r"[0-9a-f]{64}")


class FetchError(OSError):
    """A file could not be had; the message says what to do."""


class _Damaged(Exception):
    """A file is not what it should be."""


def cache_folder(cache_dir: str | os.PathLike[str] | None = None) -> Path:
    """Where fetched files are kept: the argument, else KATTN_CACHE, else the user's cache."""
    if cache_dir or os.environ.get("KATTN_CACHE"):
        return Path(cache_dir or os.environ["KATTN_CACHE"]).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kattn"


def offline() -> bool:
    """Whether the environment forbids fetching."""
    return any(os.environ.get(name, "").lower() in TRUE for name in ("KATTN_OFFLINE", "HF_HUB_OFFLINE"))


def fetch(entry: Entry, cache_dir: str | os.PathLike[str] | None = None) -> Path:
    """The file of an entry of the manifest, whole and right.

    Raises: FetchError, an OSError, where it cannot be had (no connection, offline, not found, no room, a cache that
        cannot be written) or is not what the manifest or the first use recorded.
    """
    if entry.local is not None:
        return _packaged(entry.local, entry)
    home = cache_folder(cache_dir)
    name = file_name(entry)
    found = _cached(entry, home, name)
    if found is not None:
        try:
            _check(found, entry, home)
            return found
        except _Damaged as problem:
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
    with _locked(home, name):
        if entry.hub:
            return _from_hub(entry, home, anew=found is not None)
        return _from_url(entry, home, name)


def file_name(entry: Entry) -> str:
    """The name of an entry's file in the cache. Raises ValueError for a name that is a path, or none at all."""
    name = entry.file if entry.hub or entry.file else urllib.parse.urlsplit(entry.url).path.rpartition("/")[2]
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*", name) or ".." in name:
        raise ValueError(f"weights {entry.tag} of {entry.model}: {name!r} is not the name of a file.")
    return f"{hashlib.sha256(entry.source.encode()).hexdigest()[:10]}-{name}"


def _packaged(path: Path, entry: Entry) -> Path:
    try:
        if not path.is_file():
            raise _Damaged("the file is missing")
        _compare(path, entry.hash)
    except _Damaged as problem:
        raise FetchError(f"weights that come with kattn: {path}: {problem}. Install kattn anew.") from None
    return path


def _cached(entry: Entry, home: Path, name: str) -> Path | None:
    if not entry.hub:
        path = home / "files" / name
        return path if path.is_file() and not path.is_symlink() else None
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(entry.hub, entry.file, cache_dir=home / "hub", revision=entry.revision)
    return Path(found) if isinstance(found, str) and Path(found).is_file() else None


# ---------------------------------------------------------------- is it right


def _check(path: Path, entry: Entry, home: Path) -> None:
    """Compare a cached file with the manifest's hash, the hub's, and the first use's. Raises _Damaged."""
    if entry.hash:
        return _compare(path, entry.hash)
    digest = _digest(path, "sha256")
    blob = path.resolve().name if entry.hub else ""  # the hub's cache names large files by their hash
    if SHA256.fullmatch(blob) and blob != digest:
        raise _Damaged("it has not the hash that the hub states")
    record = _record(entry, home)
    if record is None:
        return _remember(entry, home, digest, path)
    if record["sha256"] != digest:
        raise _Damaged(f"it is not the file of {record['date']}, when it was first used")
    return None


def _compare(path: Path, expected: str) -> None:
    algorithm, _, digits = expected.partition(":")
    if len(digits) < 8:
        raise _Damaged("no hash is known for it")
    digest = _digest(path, algorithm)
    if not digest.startswith(digits):
        raise _Damaged(f"its {algorithm} begins {digest[: len(digits)][:12]}, not {digits[:12]}")


def _digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def _record_path(entry: Entry, home: Path) -> Path:
    return home / "records" / f"{file_name(entry)}.json"


def _record(entry: Entry, home: Path) -> dict[str, Any] | None:
    try:
        record = json.loads(_record_path(entry, home).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and SHA256.fullmatch(str(record.get("sha256"))) else None


def _remember(entry: Entry, home: Path, digest: str, path: Path) -> None:
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    record = {"source": entry.source, "sha256": digest, "bytes": path.stat().st_size, "date": today}
    target = _record_path(entry, home)
    with contextlib.suppress(OSError):  # in a cache that cannot be written the file was put by someone else
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = target.with_suffix(f".{os.getpid()}")
        beside.write_text(json.dumps(record, indent=1), encoding="utf-8")
        os.replace(beside, target)
        logger.info("%s: first use, recorded sha256 %s", entry.source, digest)


# ---------------------------------------------------------------- from the hub


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
            reason = str(problem).splitlines()[0]
            raise FetchError(f"{entry.source} is not there ({reason}). {_instead(entry, home)}") from None
        except HfHubHTTPError as problem:
            reason = str(problem).splitlines()[0]
            raise FetchError(f"{entry.source}: the hub refused it ({reason}). {_instead(entry, home)}") from None
        except (OSError, RuntimeError, ValueError) as problem:
            raise _no_room_or(problem, entry, home) from None
        try:
            _check(path, entry, home)
            return path
        except _Damaged as problem:
            if last:
                raise FetchError(_wrong(entry, home, problem)) from None
    raise AssertionError("the second try returns or raises")


def _wrong(entry: Entry, home: Path, problem: Exception) -> str:
    record = _record_path(entry, home)
    change = f" If its publisher changed the file, delete {record}." if record.exists() else ""
    return f"{entry.source}: {problem}. It was not used; the connection or the source is at fault.{change}"


def _instead(entry: Entry, home: Path) -> str:
    return (
        f"See kattn.zoo.info({entry.model!r}).weights for other tags, or get the file by other means and give its path "
        f"as weights=. (cache: {home})"
    )


# ---------------------------------------------------------------- from a URL


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to http and https only, and never from https to http."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        old, new = (urllib.parse.urlsplit(one).scheme for one in (req.full_url, newurl))
        if new not in ("http", "https") or (old == "https" and new != "https"):
            raise FetchError(f"{req.full_url} leads to {newurl}, which is not followed.")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _from_url(entry: Entry, home: Path, name: str) -> Path:
    target = home / "files" / name
    if target.is_file() and not target.is_symlink():  # another process may have been faster
        with contextlib.suppress(_Damaged):
            _check(target, entry, home)
            return target
    part = target.with_name(f"{name}.part")
    try:
        for last in (False, True):
            download(entry.url, part)
            whole = _unpacked(part, entry) if entry.url.endswith(".zip") else part
            try:
                _check(whole, entry, home)
            except _Damaged as problem:
                # What was resumed may be of two versions of the file: once more from the start.
                _discard(part, whole)
                if last:
                    raise FetchError(_wrong(entry, home, problem)) from None
                continue
            os.replace(whole, target)
            _discard(part)
            return target
    except FetchError:
        raise
    except OSError as problem:
        _discard(part)
        raise _no_room_or(problem, entry, home) from None
    raise AssertionError("the second try returns or raises")


def _unpacked(archive: Path, entry: Entry) -> Path:
    """The one file of a zip archive that the manifest names, of a size that fits the archive's."""
    member = archive.with_name(f"{archive.name}.file")
    try:
        take_out(archive, entry.file, member, 4 * archive.stat().st_size + CHUNK)
    except ArchiveTooLarge:
        _discard(archive)
        raise FetchError(f"{entry.source}: the archive swells to many times its size and was not unpacked.") from None
    except ArchiveError as problem:
        _discard(archive)
        raise FetchError(f"{entry.source} is not an archive with {entry.file}: {problem}. Try again later.") from None
    return member


def download(url: str, part: Path) -> None:
    """Fetch a URL into a file, going on where an earlier try ended.

    Raises: FetchError after the last try, or at once where another try cannot help; OSError of the file system.
    """
    # keras.utils.get_file writes to the file's final place, leaves a wrong file there, knows no timeout and does not
    # resume, so it serves neither several processes nor a bad connection.
    part.parent.mkdir(parents=True, exist_ok=True)
    problem: Exception | None = None
    for wait in (0.0, *WAITS):
        time.sleep(wait)
        for address in (*_mirrors(url), url):
            try:
                return _download_once(address, part)
            except urllib.error.HTTPError as error:
                problem = error
                error.close()
                if error.code == 416:  # the part is longer than the file
                    _discard(part)
                elif error.code not in RETRIED and address == url:
                    raise FetchError(f"{url}: {error.code} {error.reason}. {_BY_HAND}") from None
            except (urllib.error.URLError, TimeoutError, ConnectionError, http.client.HTTPException) as error:
                problem = error
        logger.info("%s: %s, trying again", url, problem)
    raise FetchError(f"{url}: {problem} ({len(WAITS) + 1} tries). Try again: it goes on where it ended. {_BY_HAND}")


_BY_HAND = "Or get the file by other means and give its path as weights=."


def _mirrors(url: str) -> tuple[str, ...]:
    mirror = os.environ.get("KATTN_MIRROR")
    parts = urllib.parse.urlsplit(url)
    return (f"{mirror.rstrip('/')}/{parts.netloc}{parts.path}",) if mirror else ()


def _download_once(url: str, part: Path) -> None:
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise FetchError(f"{url} is neither http nor https.")
    marks = part.with_name(f"{part.name}.etag")
    have = part.stat().st_size if part.is_file() and not part.is_symlink() else 0
    etag = marks.read_text(encoding="utf-8") if have and marks.is_file() else ""
    request = urllib.request.Request(url, headers={"User-Agent": "kattn", "Accept-Encoding": "identity"})
    if have and etag:
        request.add_header("Range", f"bytes={have}-")
        request.add_header("If-Range", etag)
    opener = urllib.request.build_opener(_Redirects)  # with the environment's proxies
    with opener.open(request, timeout=TIMEOUT) as answer:
        resumed = answer.status == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        if not resumed:
            have = 0
            if answer.status == 206:
                raise ConnectionError("the server sent another part than was asked for")
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length else None
        _require_room(part, (total or 0) - have)
        marks.write_text(answer.headers.get("ETag") or "", encoding="utf-8")
        have += _copy(answer, part, have, total, url)
    if total is not None and have != total:
        raise ConnectionError(f"the connection ended after {have} of {total} bytes")


def _copy(answer: Any, part: Path, have: int, total: int | None, url: str) -> int:
    from tqdm.auto import tqdm

    # Not through a link that somebody put there.
    flags = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if have else os.O_TRUNC) | getattr(os, "O_NOFOLLOW", 0)
    written = 0
    name = url.rpartition("/")[2]
    with (
        os.fdopen(os.open(part, flags, 0o666), "wb") as file,
        tqdm(total=total, initial=have, unit="B", unit_scale=True, desc=name, disable=None) as bar,
    ):
        while chunk := answer.read(CHUNK):
            file.write(chunk)
            written += len(chunk)
            bar.update(len(chunk))
    return written


def _require_room(part: Path, wanted: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if wanted > free:
        raise FetchError(
            f"{part.parent} has room for {free >> 20} MB, and {wanted >> 20} MB are wanted. Make room, or put the "
            "cache elsewhere: KATTN_CACHE or cache_dir=."
        )


def _discard(*paths: Path) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
        path.with_name(f"{path.name}.etag").unlink(missing_ok=True)


def _no_room_or(problem: Exception, entry: Entry, home: Path) -> FetchError:
    reason = str(problem).splitlines()[0] if str(problem) else type(problem).__name__
    return FetchError(
        f"{entry.source} could not be fetched into {home}: {reason}. Check the connection, the room on the disk and "
        f"the folder's permissions; KATTN_CACHE or cache_dir= name another folder. {_BY_HAND}"
    )


@contextlib.contextmanager
def _locked(home: Path, name: str) -> Iterator[None]:
    """One process at a time for one file."""
    from filelock import FileLock, Timeout

    try:
        (home / "locks").mkdir(parents=True, exist_ok=True)
        lock = FileLock(home / "locks" / f"{name}.lock")
        lock.acquire(timeout=LOCK_TIMEOUT)
    except Timeout:
        raise FetchError(f"another process has been fetching {name} for an hour; stop it, or try later.") from None
    except OSError as problem:
        raise FetchError(
            f"the cache {home} cannot be written ({problem.strerror}). Set KATTN_CACHE or cache_dir= to a folder of "
            "yours."
        ) from None
    try:
        yield
    finally:
        lock.release()
