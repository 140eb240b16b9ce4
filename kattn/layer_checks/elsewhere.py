"""A layer on another backend of Keras, in a process of its own: `python -m kattn.layer_checks.elsewhere FOLDER`."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kattn.layer_checks.checks import Skipped, Subject
from kattn.layer_checks.running import CheckFailed, as_model, error, run

BACKENDS = ("tensorflow", "jax", "torch")
LIMIT = 600  # seconds
TOLERANCE = 1e-4


def others() -> list[str]:
    """The other backends that are installed."""
    import keras

    own = keras.backend.backend()
    return [name for name in BACKENDS if name != own and importlib.util.find_spec(name) is not None]


def check_on(subject: Subject, backend: str) -> str:
    """The same numbers from a `.keras` file on another backend. Raises: CheckFailed; Skipped where no file has it."""
    kind = type(subject.layer)
    try:
        source = inspect.getsourcefile(kind)
    except (TypeError, OSError):  # of a prompt, or written in C
        source = None
    if kind.__module__ == "__main__" or not source or not Path(source).is_file():
        raise Skipped("the class is not in a file that another process could import: move it to a module")
    with tempfile.TemporaryDirectory() as folder:
        as_model(subject.layer, *subject.inputs).save(f"{folder}/model.keras")
        _save(f"{folder}/inputs.npz", "x", subject.inputs)
        Path(folder, "where.json").write_text(json.dumps({"module": kind.__module__, "file": source}), encoding="utf-8")
        environment = os.environ | {
            "KERAS_BACKEND": backend,
            "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path)),
        }
        command = [sys.executable, "-m", "kattn.layer_checks.elsewhere", folder]
        try:
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LIMIT, check=False)
        except subprocess.TimeoutExpired:
            raise CheckFailed(f"no answer within {LIMIT} seconds") from None
        if done.returncode:
            raise CheckFailed((done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1])
        with np.load(f"{folder}/outputs.npz") as found:
            got = [found[f"y{i}"] for i in range(len(found.files))]
    off = error(got, run(subject.layer, *subject.inputs))
    if not off <= TOLERANCE:
        raise CheckFailed(f"other numbers than here: off by {off:.1e} (allowed {TOLERANCE:.0e})")
    return f"off by {off:.0e}"


def main(folder: str) -> None:
    """Load the layer and run it on the inputs: this process's part."""
    from kattn.startup import import_file

    where = json.loads(Path(folder, "where.json").read_text(encoding="utf-8"))
    try:
        importlib.import_module(where["module"])
    except ImportError:
        import_file(where["file"])
    import keras

    with np.load(f"{folder}/inputs.npz") as found:
        inputs = [found[f"x{i}"] for i in range(len(found.files))]
    outputs = run(keras.saving.load_model(f"{folder}/model.keras"), *inputs)
    _save(f"{folder}/outputs.npz", "y", outputs)


def _save(path: str, letter: str, values: Sequence[Any]) -> None:
    arrays: dict[str, Any] = {f"{letter}{i}": value for i, value in enumerate(values)}
    np.savez(path, **arrays)


if __name__ == "__main__":
    main(sys.argv[1])
