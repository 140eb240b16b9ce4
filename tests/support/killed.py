"""Processes that are killed while they export, run as a script: `killed.py renames FOLDER`, or
`killed.py exports MODEL FOLDER CASE ...` with cases like converting/m.tflite.

One process imports what is needed and forks another for every death, so that each takes moments.
"""

from __future__ import annotations

import json
import os
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


if __name__ == "__main__":
    if sys.argv[1] == "renames":
        print(json.dumps(renames(Path(sys.argv[2]))))
    else:
        print(json.dumps(exports(sys.argv[2], Path(sys.argv[3]), *sys.argv[4:])))
