"""One process at a time: a lock file that says who holds it.

The operating system keeps the lock and gives it back when the process ends, however it ends. What a killed process
leaves behind therefore holds nobody up; only a machine that vanished may hold a lock on a disk that several share.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import json
import logging
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

from kattn.files import shown

log = logging.getLogger("kattn")

NAME = ".lock"  # of the lock file in a folder
GRACE = 0.2  # seconds that a process takes at most to say that it holds a lock, or to be gone when it has ended
NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)


class InUse(RuntimeError):
    """Another process holds a lock; the message says which one, since when, and how to go on."""


@contextlib.contextmanager
def locked(path: Path, *, wait: float = 0.0) -> Iterator[None]:
    """Hold a lock while the block runs. Its file says which process of which host holds it since when.

    The file is removed with the lock. On a file system without locks the block runs all the same, and the log says so.

    Args:
        path: The lock file. A symbolic link there is not followed.
        wait: Seconds to wait for another holder.

    Raises: InUse where another process, or another thread, holds the lock; OSError where the file cannot be written.
    """
    release = _acquire(path, wait)
    try:
        yield
    finally:
        if holder(path) == _me():  # not one that somebody else has put in its place
            _remove(path)
        release()


@contextlib.contextmanager
def locked_folder(folder: Path, name: str = NAME) -> Iterator[None]:
    """A folder for this process alone while the block runs, made where there is none, and removed if it stays empty.

    Args:
        folder: The folder.
        name: Of the lock file in it.

    Raises: InUse where another process holds it; OSError where it cannot be written.
    """
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        if folder.is_symlink() and not folder.exists():
            raise OSError(errno.ENOENT, f"it is a link to {os.readlink(folder)}, which is not there")
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / name):
            yield
    finally:
        for each in made:  # innermost first
            with contextlib.suppress(OSError):
                each.rmdir()


def holder(path: Path) -> tuple[str, int] | None:
    """Host and process that hold a lock, by its file; None where it does not say."""
    record = _record(path)
    return record and record[:2]


def _acquire(path: Path, wait: float) -> Callable[[], object]:
    """Take a lock and sign its file. Returns: what gives it back."""
    from filelock import FileLock, Timeout

    if path.is_symlink():
        raise OSError(errno.ELOOP, f"{path} is a symbolic link, which is not followed; remove it")

    def sign(file: int) -> None:
        if os.fstat(file).st_nlink > 1:
            raise OSError(errno.EMLINK, f"{path} is a file of several names; remove it")
        host, pid = _me()
        since = datetime.datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
        try:
            os.ftruncate(file, 0)
            os.write(file, json.dumps({"host": host, "pid": pid, "since": since}).encode())
        except OSError:
            _remove(path)
            raise

    # With these two it never falls back to a file whose mere presence is the lock: that would outlive its process.
    lock = FileLock(path, preserve_lock_file=True, on_acquired=sign)
    try:
        lock.acquire(timeout=max(wait, GRACE))
    except Timeout:
        raise InUse(_explained(path)) from None
    except OSError as problem:
        if problem.errno not in NO_LOCKS:
            raise
        log.warning("%s: this file system has no locks (%s); nothing keeps other processes out", path, problem.strerror)
        _remove(path)
        return lambda: None
    return lock.release


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):  # Windows keeps open files
        path.unlink()


def _me() -> tuple[str, int]:
    return socket.gethostname(), os.getpid()


def _record(path: Path) -> tuple[str, int, str] | None:
    """Host, process and since when, as a lock file says; None for one that is not there, not whole, or none at all."""
    try:
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        with open(os.open(path, flags), "rb") as file:
            record = json.loads(file.read(1000))
        host, pid, since = record["host"], record["pid"], record["since"]
        said = isinstance(host, str) and isinstance(pid, int) and isinstance(since, str)
        return (host, pid, since) if said else None
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def _explained(path: Path) -> str:
    record = _record(path)
    who = "another process"
    if record is not None:
        host, pid, since = record
        who = shown(f"process {pid} on {host}, since {since}")
    here = record is not None and record[0] == socket.gethostname()
    gone = "" if here else f" If its machine is gone for good, remove {path}."
    return f"{path.parent} is in use by {who}. Wait until it has ended, or choose another folder (out=).{gone}"
