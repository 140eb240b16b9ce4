"""Write beside, check, then rename: a name asked for never holds a half-written or unchecked artefact."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kattn.export.errors import ExportError, ExportInputError

NEW, PREVIOUS = "new", "previous"


@dataclass(frozen=True)
class Stage:
    """A folder beside the target that is renamed into place, or removed.

    Attributes:
        folder: Holds what is to be committed, under the final names.
        scratch: For intermediate files; removed in any case.
        name: Name of the artefact.
    """

    folder: Path
    scratch: Path
    name: str

    @property
    def path(self) -> Path:
        """Where to write the artefact."""
        return self.folder / self.name

    @property
    def report_path(self) -> Path:
        """Where to write the report."""
        return self.folder / f"{self.name}.json"


@contextlib.contextmanager
def staged(target: Path, *, suffix: str | None, overwrite: bool = True) -> Iterator[Stage]:
    """A stage for `target`; everything in it is moved into place when the block ends, nothing if it raises.

    What was there before is replaced in one step and comes back if something else cannot be placed. A process that is
    killed leaves the folder beside the target behind; the next stage for the same target removes it.

    Args:
        target: The artefact's final name; missing parent folders are made (and removed again on failure).
        suffix: That the artefact's name must have, such as ".onnx"; None for a folder (a SavedModel).
        overwrite: False refuses a target that exists.

    Raises: ExportInputError for a target of another suffix or one that must not be replaced; ExportError where the disk
        refuses.
    """
    check_target(target, suffix=suffix, overwrite=overwrite)
    made = [parent for parent in (target.parent, *target.parent.parents) if not parent.exists()]
    work: Path | None = None
    lock = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_left_behind(target)
        work = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent))
        lock = _locked(work, seconds=5)  # another export may look at it at this moment
        stage = Stage(work / NEW, work / "scratch", target.name)
        stage.folder.mkdir()
        stage.scratch.mkdir()
        yield stage
        _commit(stage, target.parent, work / PREVIOUS)
    except BaseException as error:
        _discard(work, lock)
        for parent in made:  # innermost first; one that holds something else by now stays
            with contextlib.suppress(OSError):
                parent.rmdir()
        if isinstance(error, OSError):
            raise disk_error(target, error) from error
        raise
    _discard(work, lock)


def check_target(target: Path, *, suffix: str | None, overwrite: bool) -> None:
    """Refuse a target that no runtime would know by its name, or whose replacement would lose what is no artefact."""
    if not target.name:
        raise ExportInputError(f"The path must end in a name for the artefact. Received: {str(target)!r}")
    if suffix is not None and target.suffix != suffix and not target.is_dir():
        raise ExportInputError(f"The path must end in {suffix}, by which runtimes know the file. Received: {target}")
    try:
        if not os.path.lexists(target):
            return
    except OSError as error:
        raise disk_error(target, error) from error
    if not overwrite:
        raise ExportInputError(f"{target} exists and overwrite=False. Choose another name or pass overwrite=True.")
    if suffix is None:
        if not target.is_dir():
            raise ExportInputError(f"{target} is a file; a SavedModel is a folder. Choose another name.")
        if any(target.iterdir()) and not (target / "saved_model.pb").is_file():
            raise ExportInputError(
                f"{target} is a folder that holds no SavedModel; it is not replaced. Choose another name."
            )
    elif target.is_dir():
        raise ExportInputError(f"{target} is a folder; name the file to write, such as {target / f'model{suffix}'}.")


def disk_error(target: Path, error: OSError) -> ExportError:
    """One sentence for an error of the file system."""
    reasons = {
        errno.ENOSPC: "no space is left on the disk",
        errno.EDQUOT: "the disk quota is used up",
        errno.EFBIG: "the file would be larger than the system allows",
        errno.EACCES: "the folder is not writable",
        errno.EPERM: "the folder is not writable",
        errno.EROFS: "the disk is read-only",
        errno.ENOTDIR: "a part of the path is a file, not a folder",
        errno.EEXIST: "a part of the path is a file, not a folder",
    }
    reason = reasons.get(error.errno or 0, error.strerror or str(error))
    if error.filename and target.parent.resolve() not in Path(os.fsdecode(error.filename)).resolve().parents:
        reason += f" ({os.fsdecode(error.filename)})"  # a folder for temporary files on another disk
    return ExportError(
        f"Could not write {target}: {reason}. Nothing was written; an earlier artefact of that name is unchanged."
    )


def _commit(stage: Stage, destination: Path, previous: Path) -> None:
    """Move what is new to its final names; on any failure put back what was there.

    No report ever lies beside an artefact that it is not about, and no part of an artefact of several files beside
    another's: they are set aside before, and the artefact itself is placed after its parts and before its report.
    """
    previous.mkdir()
    parts = [entry for entry in sorted(stage.folder.iterdir()) if entry not in (stage.path, stage.report_path)]
    first = [stage.report_path, *([stage.path, *parts] if parts else [])]
    entries = [*parts, stage.path, stage.report_path]
    numbers = [entry.stat().st_ino for entry in entries]
    try:
        for entry in first:
            if os.path.lexists(destination / entry.name):
                os.rename(destination / entry.name, previous / entry.name)
        for entry in entries:
            _place(entry, destination / entry.name, previous / entry.name)
    except BaseException:
        for entry, number in reversed(list(zip(entries, numbers, strict=True))):
            _put_back(entry, number, destination / entry.name, previous / entry.name)
        raise


def _place(entry: Path, final: Path, kept: Path) -> None:
    """Give an entry its final name and set aside what had it, which is never missing where the system allows that."""
    if final.is_dir() and _exchanged(entry, final):
        os.replace(entry, kept)
        return
    if os.path.lexists(final):
        if not final.is_dir():
            with contextlib.suppress(OSError):  # file systems without hard links
                os.link(final, kept, follow_symlinks=False)
        if not os.path.lexists(kept):
            os.rename(final, kept)
    os.replace(entry, final)


def _put_back(entry: Path, number: int, final: Path, kept: Path) -> None:
    """Undo what was done for one entry, whose inode has the number."""
    if os.path.lexists(entry) and entry.stat().st_ino != number:
        _exchanged(entry, final)
    elif os.path.lexists(kept):
        if final.is_dir() and not final.is_symlink():
            shutil.rmtree(final)
        os.rename(kept, final)
    elif not os.path.lexists(entry):  # it was moved, and nothing was there before
        shutil.rmtree(final) if final.is_dir() else final.unlink(missing_ok=True)


def _exchanged(one: Path, other: Path) -> bool:
    """Swap two names in one step, as a folder cannot be replaced in one; False where the system has no call for it."""
    name, here = ("renamex_np", ()) if sys.platform == "darwin" else ("renameat2", (-100,))  # of AT_FDCWD
    try:
        swap = getattr(ctypes.CDLL(None), name)
    except (AttributeError, OSError, TypeError):
        return False
    return bool(swap(*here, os.fsencode(one), *here, os.fsencode(other), 2) == 0)  # 2: RENAME_EXCHANGE, RENAME_SWAP


def _locked(work: Path, *, seconds: float = 0) -> Any:
    """A lock on a stage's folder, which ends with its process however that ends; None if another process has it."""
    from filelock import FileLock

    lock = FileLock(work / "lock", timeout=seconds)
    try:
        lock.acquire()
    except OSError:  # held, or a file system without locks, where nothing is ever taken for left behind
        return None
    return lock


def _discard(work: Path | None, lock: Any) -> None:
    if lock is not None:
        lock.release()
    if work is not None:
        shutil.rmtree(work, ignore_errors=True)


def _remove_left_behind(target: Path) -> None:
    """Remove the stages of killed exports to the same target; an artefact that one had set aside comes back before."""
    name = re.compile(re.escape(f".{target.name}.") + r"[a-z0-9_]{8}\.tmp")
    for work in sorted(target.parent.iterdir()):
        if not name.fullmatch(work.name) or not work.is_dir():
            continue
        with contextlib.suppress(OSError):  # not ours to open or to remove: no reason to fail
            lock = _locked(work)
            if lock is None:
                continue
            if not (work / NEW).is_dir():  # made by another process that has yet to lock it
                lock.release()
                continue
            if (work / PREVIOUS / target.name).exists() and not os.path.lexists(target):
                for kept in (work / PREVIOUS).iterdir():
                    os.replace(kept, target.parent / kept.name)
            _discard(work, lock)
