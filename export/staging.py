"""Write beside, check, then rename: a name asked for never holds a half-written or unchecked artefact."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kattn.export.errors import ExportError, ExportInputError


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
def staged(target: Path, *, folder: bool, overwrite: bool = True) -> Iterator[Stage]:
    """A stage for `target`; everything in it is moved into place when the block ends, nothing if it raises.

    Files that were there before are replaced in one step each and come back if a later one cannot be placed.

    Args:
        target: The artefact's final name; missing parent folders are made (and removed again on failure).
        folder: The artefact is a folder (a SavedModel).
        overwrite: False refuses a target that exists.

    Raises: ExportInputError for a target that must not be replaced; ExportError where the disk refuses.
    """
    check_target(target, folder=folder, overwrite=overwrite)
    made = [parent for parent in (target.parent, *target.parent.parents) if not parent.exists()]
    work: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent))
        stage = Stage(work / "new", work / "scratch", target.name)
        stage.folder.mkdir()
        stage.scratch.mkdir()
        yield stage
        _commit(stage.folder, target.parent, work / "previous")
    except BaseException as error:
        if work is not None:
            shutil.rmtree(work, ignore_errors=True)
        for parent in made:  # innermost first; one that holds something else by now stays
            with contextlib.suppress(OSError):
                parent.rmdir()
        if isinstance(error, OSError):
            raise disk_error(target, error) from error
        raise
    shutil.rmtree(work, ignore_errors=True)


def check_target(target: Path, *, folder: bool, overwrite: bool) -> None:
    """Refuse a target whose replacement would lose something that is no artefact."""
    if not target.name:
        raise ExportInputError(f"The path must end in a name for the artefact. Received: {str(target)!r}")
    try:
        if not os.path.lexists(target):
            return
    except OSError as error:
        raise disk_error(target, error) from error
    if not overwrite:
        raise ExportInputError(f"{target} exists and overwrite=False. Choose another name or pass overwrite=True.")
    if folder:
        if not target.is_dir():
            raise ExportInputError(f"{target} is a file; a SavedModel is a folder. Choose another name.")
        if any(target.iterdir()) and not (target / "saved_model.pb").is_file():
            raise ExportInputError(
                f"{target} is a folder that holds no SavedModel; it is not replaced. Choose another name."
            )
    elif target.is_dir():
        raise ExportInputError(f"{target} is a folder; name the file to write, such as {target / 'model'}.")


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
    return ExportError(
        f"Could not write {target}: {reason}. Nothing was written; an earlier artefact of that name is unchanged."
    )


def _commit(source: Path, destination: Path, previous: Path) -> None:
    """Move every entry of a folder into another; on any failure put back what was there."""
    previous.mkdir()
    placed: list[Path] = []
    try:
        for entry in sorted(source.iterdir()):
            final = destination / entry.name
            placed.append(final)
            if os.path.lexists(final):
                _keep(final, previous / entry.name)
            os.replace(entry, final)
    except BaseException:
        for final in reversed(placed):
            kept = previous / final.name
            if os.path.lexists(kept):
                if final.is_dir() and not final.is_symlink():
                    shutil.rmtree(final)
                os.rename(kept, final)
            elif not os.path.lexists(source / final.name):  # it was moved, and nothing was there before
                shutil.rmtree(final) if final.is_dir() else final.unlink(missing_ok=True)
        raise


def _keep(final: Path, kept: Path) -> None:
    """Set the present artefact aside: a file by a second name, so that its own is never missing, a folder by moving."""
    if not final.is_dir():
        with contextlib.suppress(OSError):  # file systems without hard links
            os.link(final, kept, follow_symlinks=False)
            return
    os.rename(final, kept)
