"""Child processes that work together: each with a log, started again when it dies, and none left behind."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

DEATHS = 5  # of one child, while none of them gets on


class Children:
    """Named child processes of this one.

    Args:
        names: Of the children that are started again when they die.
        logs: The folder of their output, which is emptied.
        error: The kind of error that says that a child cannot go on.
        work: What a child does, for that error: "a trial".
        say: Prints a line.
    """

    def __init__(
        self, names: Iterable[str], logs: Path, error: type[Exception], work: str, say: Callable[[str], object]
    ) -> None:
        self.logs, self.error, self.work, self.say = logs, error, work, say
        shutil.rmtree(logs, ignore_errors=True)
        if logs.is_symlink():
            logs.unlink()
        logs.mkdir(parents=True)
        self.deaths = dict.fromkeys(names, 0)

    def launch(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """Start a child; its output goes to its log."""
        with open(self.log(name), "a") as log:
            return subprocess.Popen(
                command,
                env={**os.environ, **environment, "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def log(self, name: str) -> Path:
        """The file with a child's output."""
        return self.logs / f"{name}.txt"

    def count_death(self, name: str, status: int) -> None:
        """Note that a child has ended before its time.

        Raises: The error, for the fifth time in a row while no child has got on.
        """
        self.deaths[name] += 1
        if self.deaths[name] >= DEATHS:
            raise self.error(
                f"{name} ended {DEATHS} times in a row without {self.work}, the last time with status {status}: "
                f"{self.last_line(name)} Its output is in {self.log(name)}; resume=True goes on."
            )
        self.say(f"{name} ended with status {status}; started again")

    def got_on(self) -> None:
        """Note that a child has done a piece of work."""
        self.deaths = dict.fromkeys(self.deaths, 0)

    def last_line(self, name: str) -> str:
        """The last line of a child's output."""
        lines = self.log(name).read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else "it printed nothing."


def stop(children: Iterable[subprocess.Popen[bytes]]) -> None:
    """End the children that still run, at once: their files are whole at every moment."""
    running = [child for child in children if child.poll() is None]
    for child in running:
        child.kill()
    for child in running:
        child.wait()


def leave_with(parent: int) -> None:
    """End this process as soon as the one that started it has ended, even by a kill."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
