"""One file over HTTP, resumed where an earlier try ended."""

from __future__ import annotations

import http.client
import logging
import os
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from kattn.files import write_text
from kattn.zoo.weights.cache import FetchError, is_own_file

logger = logging.getLogger("kattn")

TIMEOUT = 30.0  # seconds without a byte
WAITS = (0.5, 1.0, 2.0, 4.0)  # seconds before each new try
CHUNK = 1 << 20
RETRIED = (408, 425, 429, 500, 502, 503, 504)
BY_HAND = "Or get the file by other means and give its path as weights=."


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to http and https only, and never from https to http."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        old, new = (urllib.parse.urlsplit(one).scheme for one in (req.full_url, newurl))
        if new not in ("http", "https") or (old == "https" and new != "https"):
            raise FetchError(f"{req.full_url} leads to {newurl}, which is not followed.")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def download(url: str, part: Path) -> None:
    """Fetch a URL into a file, going on where an earlier try ended.

    Args:
        url: http or https.
        part: The file; beside it `<part>.etag` keeps which version of the file at the URL it is of.

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
                    discard(part)
                elif error.code not in RETRIED and address == url:
                    raise FetchError(f"{url}: {error.code} {error.reason}. {BY_HAND}") from None
            # ValueError: a host name or header that cannot be sent.
            except (
                urllib.error.URLError,
                TimeoutError,
                ConnectionError,
                http.client.HTTPException,
                ValueError,
            ) as error:
                problem = error
        logger.info("%s: %s, trying again", url, problem)
    raise FetchError(f"{url}: {problem} ({len(WAITS) + 1} tries). Try again: it goes on where it ended. {BY_HAND}")


def discard(*paths: Path) -> None:
    """Remove unfinished files and what is kept of them."""
    for path in paths:
        path.unlink(missing_ok=True)
        _mark(path).unlink(missing_ok=True)


def _mirrors(url: str) -> tuple[str, ...]:
    mirror = os.environ.get("KATTN_MIRROR")
    parts = urllib.parse.urlsplit(url)
    return (f"{mirror.rstrip('/')}/{parts.netloc}{parts.path}",) if mirror else ()


def _mark(part: Path) -> Path:
    return part.with_name(f"{part.name}.etag")


def _download_once(url: str, part: Path) -> None:
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise FetchError(f"{url} is neither http nor https.")
    mark = _mark(part)
    have = part.stat().st_size if is_own_file(part) else 0
    etag = mark.read_text(encoding="utf-8", errors="replace") if have and is_own_file(mark) else ""
    request = urllib.request.Request(url, headers={"User-Agent": "kattn", "Accept-Encoding": "identity"})
    if etag and _is_header(etag):
        request.add_header("Range", f"bytes={have}-")
        request.add_header("If-Range", etag)
    opener = urllib.request.build_opener(_Redirects)  # with the environment's proxies
    with opener.open(request, timeout=TIMEOUT) as answer:
        resumed = answer.status == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        if not resumed:
            have = 0
            if answer.status == 206:
                raise ConnectionError("the server sent another part than was asked for")
        etag, length = answer.headers.get("ETag") or "", answer.headers.get("Content-Length")
        if not _is_header(etag) or not (length or "0").isdecimal():
            raise ConnectionError(f"the server's ETag {etag[:40]!r} or Content-Length {length!r} is not valid")
        total = have + int(length) if length else None
        _require_room(part, (total or 0) - have)
        write_text(mark, etag)
        have += _copy(answer, part, have, total, url)
    if total is not None and have != total:
        raise ConnectionError(f"the connection ended after {have} of {total} bytes")


def _is_header(text: str) -> bool:
    """Whether this can be sent as the value of a header: one line of plain characters."""
    return text.isascii() and (text.isprintable() or not text)


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
