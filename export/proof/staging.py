"""Write beside, check, then rename: a name asked for never holds a half-written or unchecked artefact."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kattn.export.errors import ExportError, ExportInputError
from kattn.export.formats import Format
from kattn.locking import InUse, locked

NEW, PREVIOUS = "new", "previous"
SHORT = 5.0  # seconds that another export takes at most to look for what killed ones have left
PATIENCE = 60.0  # seconds to wait for another export that gives its files the same names: that takes it moments
LABELS = ".labels.txt"
COMPANIONS = (LABELS, ".data")  # what may lie beside an artefact, and belongs to no other one


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

    @property
    def labels_path(self) -> Path:
        """Where to write the labels of the classes."""
        return self.folder / f"{self.name}{LABELS}"


@contextlib.contextmanager
def staged(target: Path, row: Format, *, overwrite: bool = True) -> Iterator[Stage]:
    """A stage for `target`; everything in it is moved into place when the block ends, nothing if it raises.

    What was there before comes back if something cannot be placed. A process that is killed leaves the stage's folder
    behind, beside the target. The next stage for the same target removes it, and gives an artefact back that had lost
    its name by then and was not yet replaced.

    Args:
        target: The artefact's final name; missing parent folders are made (and removed again on failure).
        row: The artefact's format.
        overwrite: False refuses a target that exists.

    Raises: ExportInputError for a target of another suffix or one that must not be replaced; ExportError where the disk
        refuses.
    """
    check_target(target, row, overwrite=overwrite)
    made = [parent for parent in (target.parent, *target.parent.parents) if not parent.exists()]
    work: Path | None = None
    lock = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _alone(target):
            _remove_left_behind(target)
        work = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)).absolute()
        lock = _held(work, seconds=SHORT)  # another export may look at it at this moment
        stage = Stage(work / NEW, work / "scratch", target.name)
        stage.folder.mkdir()
        stage.scratch.mkdir()
        yield stage
        with _alone(target):
            _commit(stage, target.parent, work / PREVIOUS)
            _discard(work, lock)
    except BaseException as error:
        with contextlib.ExitStack() as alone:
            with contextlib.suppress(InUse, OSError):  # whoever holds it, the stage goes
                alone.enter_context(_alone(target, wait=SHORT))
            _discard(work, lock)
        for parent in made:  # innermost first; one that holds something else by now stays
            with contextlib.suppress(OSError):
                parent.rmdir()
        if isinstance(error, OSError):
            raise disk_error(target, error) from error
        if isinstance(error, InUse):
            raise ExportError(f"{target} was not written: {error}") from None
        raise


def check_target(target: Path, row: Format, *, overwrite: bool) -> None:
    """Refuse a target that no runtime would know by its name, or whose replacement would lose what is no artefact."""
    if not target.name:
        raise ExportInputError(f"The path must end in a name for the artefact. Received: {str(target)!r}")
    if row.suffix and target.suffix != row.suffix and not target.is_dir():
        raise ExportInputError(
            f"The path must end in {row.suffix}, by which runtimes know the file. Received: {target}"
        )
    if not os.path.lexists(target):
        return
    if not overwrite:
        raise ExportInputError(f"{target} exists and overwrite=False. Choose another name or pass overwrite=True.")
    if not row.suffix:
        if not target.is_dir():
            raise ExportInputError(f"{target} is a file; a {row.title} is a folder. Choose another name.")
        if any(target.iterdir()) and not row.recognises(target):
            raise ExportInputError(
                f"{target} is a folder that holds no {row.title}; it is not replaced. Choose another name."
            )
    elif target.is_dir():
        example = target / f"model{row.suffix}"
        raise ExportInputError(f"{target} is a folder; name the file to write, such as {example}.")


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
    """Set aside what was there and move what is new to its final names; on any failure put back what was there.

    No report ever lies beside an artefact that it is not about, and no part of an artefact of several files beside
    another's: the report goes first and comes last, and the parts come before the artefact itself.
    """
    previous.mkdir()
    parts = [entry for entry in sorted(stage.folder.iterdir()) if entry not in (stage.path, stage.report_path)]
    entries = [*parts, stage.path, stage.report_path]
    try:
        for entry in reversed(entries):
            final = destination / entry.name
            if os.path.lexists(final):
                keep_name = entry == stage.path and not parts
                _set_aside(final, previous / entry.name, keep_name=keep_name)
        for companion in (f"{stage.name}{end}" for end in COMPANIONS):
            if os.path.lexists(destination / companion) and not os.path.lexists(previous / companion):
                _set_aside(destination / companion, previous / companion, keep_name=False)
        for entry in entries:
            os.replace(entry, destination / entry.name)
    except BaseException:
        for entry in reversed(entries):
            if not os.path.lexists(entry):  # it has its final name
                os.rename(destination / entry.name, entry)
        for kept in previous.iterdir():
            os.rename(kept, destination / kept.name)
        raise


def _set_aside(final: Path, kept: Path, *, keep_name: bool) -> None:
    """Move a file or a folder to `kept`; a file can keep its name until another takes its place, as a hard link."""
    if keep_name and not final.is_dir():
        with contextlib.suppress(OSError):  # a file system without hard links
            os.link(final, kept, follow_symlinks=False)
            return
    os.rename(final, kept)


def _alone(target: Path, wait: float | None = None) -> contextlib.AbstractContextManager[None]:
    """One export at a time gives files the names of this target, or looks what others left of it."""
    return locked(target.with_name(f".{target.name}.lock"), wait=PATIENCE if wait is None else wait)


def _held(work: Path, *, seconds: float = 0) -> contextlib.ExitStack | None:
    """A lock on a stage's folder, which ends with its process however that ends; None if another process has it."""
    stack = contextlib.ExitStack()
    try:
        stack.enter_context(locked(work / "lock", wait=seconds))
    except (InUse, OSError):
        return None
    return stack


def _discard(work: Path | None, lock: contextlib.ExitStack | None) -> None:
    if lock is not None:
        lock.close()
    if work is not None:
        shutil.rmtree(work, ignore_errors=True)


def _remove_left_behind(target: Path) -> None:
    """Remove the stages of killed exports to the same target; an artefact that one had set aside comes back before."""
    name = re.compile(re.escape(f".{target.name}.") + r"[a-z0-9_]{8}\.tmp")
    for work in sorted(target.parent.iterdir()):
        if not name.fullmatch(work.name) or not work.is_dir():
            continue
        with contextlib.suppress(OSError):  # not ours to open or to remove: no reason to fail
            lock = _held(work)
            if lock is None:
                continue
            if not (work / NEW).is_dir():  # made by another process that has yet to lock it
                lock.close()
                continue
            if (work / PREVIOUS / target.name).exists() and not os.path.lexists(target):
                for kept in (work / PREVIOUS).iterdir():
                    os.replace(kept, target.parent / kept.name)
            _discard(work, lock)
