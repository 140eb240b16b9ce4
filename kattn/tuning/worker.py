"""A chief or a worker of a search on one machine: `python -m kattn.tuning.worker FOLDER PARENT`.

KerasTuner's environment variables say which of the two it is; the folder's search.json says what is searched.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from kattn.children import leave_with


def main() -> int:
    """Do this process's part of the search. Returns: the exit status."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    folder, parent = Path(sys.argv[1]), int(sys.argv[2])
    leave_with(parent)
    from kattn.startup import import_file
    from kattn.tuning.plan import SETTINGS, Settings
    from kattn.tuning.records import SearchError
    from kattn.tuning.search import take_part
    from kattn.tuning.workers import FAILED

    try:
        settings = Settings.read(folder / SETTINGS)
        for file in settings.imports:
            import_file(file)
        take_part(settings, folder)
    except SearchError as error:
        print(str(error).replace("\n", " "), flush=True)
        return FAILED
    return 0


def run() -> None:
    """Do the work and end the process, without waiting for gRPC's threads."""
    status = main()
    sys.stdout.flush()
    os._exit(status)


if __name__ == "__main__":
    run()
