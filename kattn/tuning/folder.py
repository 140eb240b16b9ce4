"""The folder of a search: who may write there, and what belongs to it."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from kattn.tuning.costs import FILE
from kattn.tuning.plan import SETTINGS, Plan, read_settings
from kattn.tuning.results import BEST, PICTURE, REJECTED, TRIALS
from kattn.tuning.space import SearchError

FILES = (SETTINGS, FILE, TRIALS, REJECTED, BEST, PICTURE)
FOLDERS = ("trials", "keras_tuner", "logs")
LOCK = ".lock"
PATIENCE, PERIOD = 600.0, 0.2  # seconds that a worker on another machine waits for its chief, and between looks


@contextlib.contextmanager
def begun(plan: Plan, *, resume: bool, overwrite: bool) -> Iterator[None]:
    """The search's folder for the time of the call, held against another call. Its files are removed again where the
    search cannot begin."""
    import filelock

    folder, path = plan.folder, plan.folder.path
    before = path / SETTINGS
    _check_folder(plan, resume=resume, overwrite=overwrite)
    path.mkdir(parents=True, exist_ok=True)
    try:
        with filelock.FileLock(path / LOCK, timeout=0):
            fresh = overwrite or not before.is_file()
            if fresh:
                _clear(path)
                plan.costs.known.clear()
                folder.write_json(SETTINGS, plan.settings.as_dict())
            try:
                yield
            except Exception:
                if fresh and not plan.trials.exists():
                    _clear(path)
                    (path / LOCK).unlink(missing_ok=True)
                    with contextlib.suppress(OSError):  # it holds files of others
                        path.rmdir()
                raise
    except filelock.Timeout:
        raise SearchError(f"Another search is running in {path}. Wait for it, or choose another folder.") from None


def wait_for_chief(plan: Plan) -> None:
    """Until the chief has begun this very search in the folder."""
    file, told, end = plan.folder.path / SETTINGS, "", time.monotonic() + PATIENCE
    while True:
        changes = plan.settings.differences(read_settings(file)) if file.is_file() else ["it has begun none"]
        if not changes:
            return
        line = f"waiting for the chief to begin this search in {plan.folder.path}: {'; '.join(changes)}"
        if time.monotonic() > end:
            raise SearchError(f"Gave up {line}. All machines make the same call, and see the same folder.")
        if line != told:
            plan.say(line)
        told = line
        time.sleep(PERIOD)


def _check_folder(plan: Plan, *, resume: bool, overwrite: bool) -> None:
    path = plan.folder.path
    plan.folder.check(resume=False, overwrite=False)  # neither a run's nor one that cannot be written
    if overwrite:
        return
    if not (path / SETTINGS).is_file():
        if strangers := [name for name in (*FILES, *FOLDERS) if (path / name).exists()]:
            raise SearchError(f"{path} is no search's folder, but holds {', '.join(strangers)}. Choose another folder.")
        return
    if not resume:
        raise SearchError(f"{path} holds a search. resume=True goes on with it, overwrite=True starts anew.")
    if changes := plan.settings.differences(read_settings(path / SETTINGS)):
        raise SearchError(
            f"{path} holds another search: {'; '.join(changes)}. Choose another folder, or overwrite=True starts anew."
        )


def _clear(path: Path) -> None:
    for name in FOLDERS:
        shutil.rmtree(path / name, ignore_errors=True)
    for name in FILES:
        (path / name).unlink(missing_ok=True)
