"""Work that may end the process that does it, or not end at all, done by a child that is watched.

Converters, calibrators, runtimes and the HDF5 library crash on some of the files that they are given.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import inspect
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from typing import Any

LAST_CHARACTERS = 500
SHOWN_AFTER = 3.0  # seconds that a piece of work takes before its progress is shown
IDLE = 120  # seconds without a task after which a child ends, and gives its memory back
ITSELF, TIME = "status 0", "time"  # how it ends then, and where a task takes too long


class ChildEnded(RuntimeError):
    """The child died while it worked, or took too long.

    Attributes:
        how: "signal SIGSEGV", "status 1" or "time".
    """

    def __init__(self, what: str, how: str, printed: str = "") -> None:
        self.how = how
        said = f" It had printed: {printed}" if printed else ""
        did = "took too long and was stopped" if how == TIME else f"ended the process that it ran in ({how})"
        super().__init__(f"{what} {did}, in a child of this process.{said}")


class UnforeseenError(RuntimeError):
    """What the task raised is none of the errors that its caller named: their kind and their text."""


class _Child:
    """A process that works through tasks, one at a time. It ends with this one, or when it has had none for a while."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "CUDA_VISIBLE_DEVICES": "-1",  # the graphics processor's memory is the parent's
            "KERAS_BACKEND": "tensorflow",
        }
        self.printed = tempfile.TemporaryFile()  # noqa: SIM115  (as long as the child lives)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "kattn.child", str(IDLE)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.printed,
            text=True,
            encoding="utf-8",
            env=environment,
            start_new_session=True,  # an interrupt from the keyboard is the parent's, which then ends the child
        )

    @property
    def usable(self) -> bool:
        return self.owner == os.getpid() and self.process.poll() is None

    def send(self, message: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()

    def receive(self) -> dict[str, Any] | None:
        """The next message; None where the child has ended."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        return json.loads(line) if line.endswith("\n") else None

    def last_words(self) -> str:
        """The end of what it wrote to its error stream."""
        self.printed.seek(0)
        lines = self.printed.read().decode(errors="replace").strip().splitlines()
        return "\n".join(line for line in lines if not line.startswith(("I0000", "WARNING", "INFO")))[-LAST_CHARACTERS:]

    def stop(self) -> None:
        if self.owner != os.getpid():
            return
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.printed):
            with contextlib.suppress(OSError):  # what was written and not sent
                pipe.close()  # type: ignore[union-attr]


_lock = threading.RLock()
_child: _Child | None = None


def prepare_child(*packages: str) -> None:
    """Start the child where there is none, and let it import packages while this process does something else."""
    if sys.executable:
        with _lock, contextlib.suppress(OSError):
            _running_child().send({"import": packages})


def run_apart(
    task: str, what: str, *, errors: Sequence[type[Exception]] = (), seconds: float | None = None, **arguments: Any
) -> Any:
    """Call a function in the child and wait for what it returns.

    Args:
        task: "module:function". Where it takes `progress`, a function of (done, of) is passed, and a bar shown at a
            terminal.
        what: Subject of sentences about it: "TensorFlow Lite's converter".
        errors: Kinds of errors, made from a text, that come back as they are.
        seconds: So long after it has begun it is stopped. None: never.
        arguments: Its own, and what it returns: whatever JSON holds.

    Raises: ChildEnded if the child died or was stopped; what the function raises, where `errors` has it or it is an
        OSError; UnforeseenError for anything else. An interrupt ends the child.
    """
    if not sys.executable:  # an embedded interpreter has no name to start another by
        return call(task, arguments, lambda done, of: None)
    with _lock:
        message = {"task": task, "arguments": arguments}
        try:
            return _ask(message, what, errors, seconds)
        except ChildEnded as error:
            if error.how != ITSELF:  # it had no task for a while and ended just now
                raise
            return _ask(message, what, errors, seconds)


def call(task: str, arguments: dict[str, Any], progress: Callable[[int, int], None]) -> Any:
    """Call "module:function", with `progress` where it takes that."""
    module, _, name = task.partition(":")
    function = getattr(importlib.import_module(module), name)
    extra = {"progress": progress} if "progress" in inspect.signature(function).parameters else {}
    return function(**arguments, **extra)


def stop_child() -> None:
    """End the child, whatever it does."""
    global _child
    if _child is not None:
        _child.stop()
    _child = None


def _ask(message: dict[str, Any], what: str, errors: Sequence[type[Exception]], seconds: float | None) -> Any:
    child, stopped = _running_child(), threading.Event()

    def stop() -> None:
        stopped.set()
        child.process.kill()

    clock = threading.Timer(seconds or 0, stop)
    clock.daemon = True
    tasks: tuple[type[Exception], ...] = (*errors, OSError, UnforeseenError)  # after which the child is well
    try:
        child.send(message)
        return _answer(child, what, errors, clock.start if seconds else lambda: None)
    except (BrokenPipeError, _NoAnswer):
        raise _ended(child, what, TIME if stopped.is_set() else "") from None
    except tasks:
        raise
    except BaseException:
        stop_child()
        raise
    finally:
        clock.cancel()


class _NoAnswer(Exception):
    """The child has ended."""


def _running_child() -> _Child:
    global _child
    if _child is None or not _child.usable:
        stop_child()
        _child = _Child()
    return _child


def _answer(child: _Child, what: str, errors: Sequence[type[Exception]], begins: Callable[[], None]) -> Any:
    bar, kinds = None, {kind.__name__: kind for kind in errors}
    try:
        while True:
            message = child.receive()
            if message is None:
                raise _NoAnswer
            if "begins" in message:
                begins()
            elif "progress" in message:
                done, of = message["progress"]
                bar = bar or _bar(what, of)
                bar.update(done - bar.n)
            elif "error" in message:
                names, text, number = message["error"]
                known = [kinds[name] for name in names if name in kinds]
                if not known and "OSError" in names:
                    raise OSError(number, text)
                raise known[0](text) if known else UnforeseenError(f"{names[0]}: {text}")
            else:
                return message["result"]
    finally:
        if bar is not None:
            bar.close()


def _bar(what: str, of: int) -> Any:
    from tqdm import tqdm

    return tqdm(total=of, desc=what, delay=SHOWN_AFTER, disable=None, leave=False)


def _ended(child: _Child, what: str, how: str) -> ChildEnded:
    status = child.process.wait()
    printed = child.last_words()
    stop_child()
    how = how or (f"signal {signal.Signals(-status).name}" if status < 0 else f"status {status}")
    return ChildEnded(what, how, printed)


atexit.register(stop_child)
