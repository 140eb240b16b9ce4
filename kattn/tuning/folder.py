"""The folder of a search: which process may write there, and which files are the search's."""

from __future__ import annotations

import contextlib
import math
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from kattn.files import reason, remove_unfinished, write_json
from kattn.locking import NAME, InUse, locked, locked_folder
from kattn.runs.folder import RunFolder
from kattn.tuning.costs import FILE
from kattn.tuning.plan import SETTINGS, Plan
from kattn.tuning.records import SearchError, read_record
from kattn.tuning.results import BEST, PICTURE, REJECTED, TRIALS

FILES = (SETTINGS, FILE, TRIALS, REJECTED, BEST, PICTURE)
FOLDERS = ("trials", "keras_tuner", "logs")
PATIENCE, PERIOD = 600.0, 0.2  # seconds that a worker on another machine waits for its chief, and between looks


@contextlib.contextmanager
def held_folder(plan: Plan, *, resume: bool, overwrite: bool) -> Iterator[None]:
    """The search's folder with its settings, locked against other calls while the block runs.

    Where the search ends with an error before its first trial, its files are removed again.

    Raises: SearchError for a folder that another process uses, that holds another search, or that cannot be written;
        RunError for one that holds a run.
    """
    path = plan.path
    before = path / SETTINGS
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked_folder(path))
        except InUse as problem:
            raise SearchError(str(problem)) from None
        except OSError as error:
            raise SearchError(f"The search's folder {path} cannot be written: {reason(error)}.") from error
        _check_folder(plan, resume=resume, overwrite=overwrite)
        fresh = overwrite or not before.is_file()
        if fresh:
            _clear(path)
            write_json(before, plan.settings.as_dict())
        remove_unfinished(path, FILES)
        try:
            yield
        except Exception:
            if fresh and not plan.trials.exists():
                _clear(path)
            raise


def wait_for_chief(plan: Plan) -> None:
    """Wait until the chief has started this very search in the folder.

    Raises: SearchError after ten minutes.
    """
    file, printed, end = plan.path / SETTINGS, "", time.monotonic() + PATIENCE
    while True:
        changes = plan.settings.differences(read_record(file)) if file.is_file() else ["it has started none"]
        if not changes:
            return
        line = f"waiting for the chief to start this search in {plan.path}: {'; '.join(changes)}"
        if time.monotonic() > end:
            raise SearchError(f"Gave up {line}. All machines make the same call, and see the same folder.")
        if line != printed:
            plan.say(line)
        printed = line
        time.sleep(PERIOD)


def wait_for_results(plan: Plan) -> None:
    """Wait until the chief has ended: a worker may be told that no trial is left while another one still trains."""
    with locked(plan.path / NAME, wait=math.inf):
        pass


def _check_folder(plan: Plan, *, resume: bool, overwrite: bool) -> None:
    path = plan.path
    RunFolder(path).check(resume=False, overwrite=False)  # not a run's
    if overwrite:
        return
    if not (path / SETTINGS).is_file():
        if others := [name for name in (*FILES, *FOLDERS) if (path / name).exists()]:
            raise SearchError(f"{path} is no search's folder, but holds {', '.join(others)}. Choose another folder.")
        return
    if not resume:
        raise SearchError(f"{path} holds a search. resume=True goes on with it, overwrite=True starts anew.")
    if changes := plan.settings.differences(read_record(path / SETTINGS)):
        raise SearchError(
            f"{path} holds another search: {'; '.join(changes)}. Choose another folder, or overwrite=True starts anew."
        )


def _clear(path: Path) -> None:
    """Remove the search's files; of a link the link."""
    for found in (path / name for name in (*FILES, *FOLDERS)):
        if found.is_dir() and not found.is_symlink():
            shutil.rmtree(found, ignore_errors=True)
        else:
            found.unlink(missing_ok=True)
