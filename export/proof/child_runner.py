"""A new artefact run in a child (`kattn.apart`): runtimes die of files that they cannot work with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from kattn.export.apart import load_arrays, run_apart, save_arrays
from kattn.export.formats import FORMATS, Format
from kattn.export.proof.runner import BATCH, Runner
from kattn.export.quiet import converting

_opened: dict[str, Runner] = {}  # in the child: the artefact that was opened last


class ChildRunner(Runner):
    """An artefact as its runner has it, run in the child.

    Args:
        row: The artefact's format.
        path: The artefact.
        scratch: A folder for the arrays on their way.

    Raises: ExportError if the runtime cannot read the file, or dies of it.
    """

    def __init__(self, row: Format, path: Path, scratch: Path) -> None:
        self.format, self.runtime, self.takes_threads = row.name, row.runner.runtime, row.runner.takes_threads
        self.what = " and ".join(self.runtime)
        self.given, self.got = scratch / "given.npz", scratch / "got.npz"
        found = run_apart(f"{__name__}:open_artefact", self.what, name=row.name, path=str(path))
        inputs = {name: tuple(shape) for name, shape in found["inputs"]}
        super().__init__(path, inputs, found["batch"], tuple(found["outputs"]))

    def __call__(self, images: Any, batch_size: int = BATCH) -> dict[str, np.ndarray]:
        """See `Runner`."""
        given = save_arrays(self.given, self._arrays(images))
        files = {"path": str(self.path), "given": given, "got": str(self.got)}
        run_apart(f"{__name__}:run_artefact", self.what, name=self.format, **files, batch_size=batch_size)
        return load_arrays(self.got)

    def run(self, tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """One inference, with the way to the child and back; the child makes its own tensors of the values."""
        return self(tensors, batch_size=len(next(iter(tensors.values()))))


def open_artefact(name: str, path: str) -> dict[str, Any]:
    """In the child: open an artefact of a format, and tell of its inputs and outputs."""
    runner = _open(name, path)
    return {"inputs": list(runner.inputs.items()), "batch": runner.batch, "outputs": runner.outputs}


def run_artefact(name: str, path: str, given: str, got: str, batch_size: int) -> None:
    """In the child: run an artefact, opened before or, by another child, not yet."""
    runner = _opened.get(path) or _open(name, path)
    with converting("Running it"):
        save_arrays(Path(got), runner(load_arrays(given), batch_size=batch_size))


def _open(name: str, path: str) -> Runner:
    _opened.clear()
    _opened[path] = FORMATS[name].open(path, trust=True)
    return _opened[path]
