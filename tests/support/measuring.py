"""Reads the files of `support.bombs`, each in a process of its own that is measured.

`python -m support.measuring FOLDER NAME ...` prints a JSON line for each: the error, the megabytes above the idle
process, and the seconds. The idle process has imported what the readers need; files are made and read in forks of it.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from pathlib import Path

from support.bombs import HEAVY, LIGHT


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(name: str, folder: Path) -> dict[str, object]:
    """Read a bomb; what came of it."""
    path = Path((folder / "path").read_text())
    read = (LIGHT | HEAVY)[name][1]
    before, start, error = peak(), time.monotonic(), None
    try:
        read(path)
    except BaseException as found:
        error = [type(found).__name__, str(found)]
    return {"name": name, "error": error, "megabytes": peak() - before, "seconds": time.monotonic() - start}


def _apart(step) -> int:
    """Run a step in a fork of this process. Returns: how that ended, 0 for well."""
    sys.stdout.flush()
    child = os.fork()
    if not child:
        try:
            step()
            sys.stdout.flush()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitpid(child, 0)[1]


def main(folder: Path, chosen: list[str]) -> None:
    """Make each file, and read it."""
    import h5py  # noqa: F401
    import numpy  # noqa: F401
    import PIL.Image  # noqa: F401

    import kattn.data.loading
    import kattn.runs.folder
    import kattn.training.recipes
    import kattn.tuning.results
    import kattn.zoo.weights.files.foreign_files

    if set(chosen) & HEAVY.keys():
        import onnx  # noqa: F401

        import kattn.zoo.weights.finding  # noqa: F401

    for number, name in enumerate(chosen):
        place = folder / str(number)
        place.mkdir()
        make = (LIGHT | HEAVY)[name][0]
        status = _apart(lambda make=make, place=place: (place / "path").write_text(str(make(place))))
        status = status or _apart(lambda name=name, place=place: print(json.dumps(measure(name, place))))
        if status:
            print(json.dumps({"name": name, "error": ["died", str(status)], "megabytes": 0, "seconds": 0}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
