"""Processes that are killed while they write, run as a script: `killed.py renames FOLDER`,
`killed.py exports MODEL FOLDER CASE ...` with cases like converting/m.tflite, or
`killed.py moments FOLDER SEED JOB ...` with jobs like train/30: a command of the table and how often.

One process imports what is needed and forks another for every death, so that each takes moments.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kattn.export.formats import FORMATS
from kattn.export.proof import staging

CALLS = ("link", "rename", "replace")
KINDS = {"one file": "m.onnx", "two files": "m.onnx", "folder": "m"}
ROWS = {"one file": FORMATS["onnx"], "two files": FORMATS["onnx"], "folder": FORMATS["saved_model"]}


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def forked(work: Callable[[], None]) -> int:
    """Do the work in a process of its own; the signal that killed it, 0 if it came to its end."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


def write(folder: Path, kind: str, age: str) -> None:
    """An artefact, its parts and its report that hold their age."""
    name = KINDS[kind]
    if kind == "folder":
        (folder / name).mkdir()
        (folder / name / "saved_model.pb").write_text(age)
    else:
        (folder / name).write_text(age)
    if kind == "two files":
        (folder / f"{name}.data").write_text(age)
    (folder / f"{name}.json").write_text(age)


def read(folder: Path, kind: str) -> dict[str, Any]:
    """Ages of what has its final name now, and how many stages are left."""
    name = KINDS[kind]
    files = {
        "artefact": folder / name / "saved_model.pb" if kind == "folder" else folder / name,
        "data": folder / f"{name}.data",
        "report": folder / f"{name}.json",
    }
    ages = {what: path.read_text() if path.exists() else None for what, path in files.items()}
    return ages | {"stages": len(list(folder.glob(".*.tmp")))}


def dying_at(number: int, after: bool) -> None:
    """Let this process die before or after its call number `number` to what gives files their names."""
    count = iter(range(10**6))

    def wrapped(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            here = next(count) == number
            if here and not after:
                die()
            result = real(*arguments, **options)
            if here:
                die()
            return result

        return call

    for name in CALLS:
        setattr(os, name, wrapped(getattr(os, name)))


def renames(folder: Path) -> list[dict[str, Any]]:
    """Die at every call that gives a file its name; then see what is there, and what the next stage makes of it."""
    states = []
    for kind, name in KINDS.items():
        for earlier in (False, True):
            for after in (False, True):
                for number in range(100):
                    place = folder / f"{len(states)}"
                    place.mkdir()
                    if earlier:
                        write(place, kind, "old")

                    def export(place=place, kind=kind, name=name, number=number, after=after) -> None:
                        dying_at(number, after)
                        with staging.staged(place / name, ROWS[kind]) as stage:
                            write(stage.folder, kind, "new")

                    killed = forked(export)
                    state = {"kind": kind, "earlier": earlier, "killed": killed, "then": read(place, kind)}
                    try:
                        with staging.staged(place / name, ROWS[kind]):
                            raise KeyboardInterrupt
                    except KeyboardInterrupt:
                        states.append(state | {"later": read(place, kind)})
                    if not killed:
                        break
    return states


def exports(model: str, folder: Path, *cases: str) -> dict[str, int]:
    """Die in exports, each at a moment; the signals that ended them."""
    import keras
    import tensorflow as tf  # noqa: F401  (nothing has run in it yet: its threads would not survive a fork)
    import tf2onnx  # noqa: F401

    import kattn.layers  # noqa: F401
    from kattn.export import onnx, saved_model, tflite
    from kattn.export.to_onnx import convert as onnx_convert
    from kattn.export.to_onnx import export as to_onnx

    def with_data(*arguments: Any) -> None:
        onnx_convert.LARGEST_FILE = to_onnx.LARGEST_FILE = 1
        onnx(*arguments)

    writers = {"m": saved_model, "m.tflite": tflite, "m.onnx": onnx, "data/m.onnx": with_data}
    ended = {}
    for case in cases:
        moment, name = case.split("/", 1)
        target = folder / case
        target.parent.mkdir(parents=True, exist_ok=True)

        def export(writer=writers[name], moment=moment, target=target) -> None:
            if moment == "renaming":
                staging._commit = lambda *_: die()
            else:
                threading.Thread(target=die_when, args=(moment, target), daemon=True).start()
            writer(keras.models.load_model(model), target)

        ended[case] = forked(export)
    return ended


def die_when(moment: str, target: Path) -> None:
    """Die as soon as the stage is there, or with it the artefact under its temporary name."""
    pattern = f".{target.name}.*.tmp/new" + ("" if moment == "converting" else f"/{target.name}")
    while not any(target.parent.glob(pattern)):
        time.sleep(0.0005)
    die()


def quietly(work: Callable[[], None]) -> int:
    """Start the work in a process of its own that prints nothing but errors. Returns: its number."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            work()
            code = 0
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        finally:
            os._exit(code)
    return child


def ended(child: int) -> int:
    """Wait for a process: its status, as `subprocess` gives it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def moments(folder: Path, seed: int, *jobs: str) -> dict[str, dict[str, Any]]:
    """Kill commands of the table at random moments and call them again.

    Returns: By command: "seconds" of a whole call, and "tries": at which part of it each was killed, what lay there
        that was not whole, and what was otherwise after the second call.
    """
    import keras
    import keras_tuner  # noqa: F401
    import matplotlib.figure  # noqa: F401
    import sklearn.datasets  # noqa: F401
    import tensorflow as tf  # noqa: F401  (nothing has run in it yet: its threads would not survive a fork)
    import tf2onnx  # noqa: F401

    import kattn.tuning.trials
    import kattn.zoo  # noqa: F401
    from support.commands import COMMANDS, contents, differences, prepare
    from support.training import EAGER

    keras.Model.run_eagerly = EAGER
    inputs, draw, found = folder / "inputs", random.Random(seed), {}
    inputs.mkdir()
    assert ended(quietly(lambda: prepare(inputs, trained=False))) == 0
    for name, count in (job.rsplit("/", 1) for job in jobs):
        command = COMMANDS[name]

        def start(out: Path, command: Any = command) -> int:
            return quietly(lambda: command.run(inputs, out))

        whole = folder / name / "whole" / "out"
        whole.mkdir(parents=True)
        assert ended(start(whole)) == 0
        expected, seconds, tries = contents(whole), 0.0, []
        for number in range(3 * int(count)):
            out = folder / name / str(number) / "out"
            out.mkdir(parents=True)
            started, child = time.perf_counter(), start(out)
            if seconds:
                time.sleep((part := draw.random()) * seconds)
                os.kill(child, signal.SIGKILL)
            killed = ended(child) == -signal.SIGKILL
            if not killed:  # it was faster than that
                seconds = time.perf_counter() - started
                continue
            lying = {path: value for path, value in contents(out).items() if not hidden(path)}
            wrong = differences(lying, expected, command.growing)
            again = ended(start(out))
            after = differences(contents(out), expected)
            tries.append({"part": part, "there": len(lying), "wrong": wrong, "again": again, "after": after})
            if len(tries) == int(count):
                break
        found[name] = {"seconds": seconds, "tries": tries}
        print(json.dumps({name: found[name]}), file=sys.stderr, flush=True)
    return found


def hidden(path: str) -> bool:
    """Whether a path leads through a hidden folder or to a hidden file: nobody takes it for a result."""
    return any(part.startswith(".") for part in Path(path).parts)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    match sys.argv[1:]:
        case ["renames", place]:
            print(json.dumps(renames(Path(place))))
        case ["exports", model, place, *cases]:
            print(json.dumps(exports(model, Path(place), *cases)))
        case ["moments", place, number, *jobs]:
            print(json.dumps(moments(Path(place), int(number), *jobs)))
