"""A process that does runs of a comparison: `python -m kattn.comparison.worker FOLDER PARENT [RUN]`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from kattn.children import leave_with


def main() -> None:
    """Do the run that is named, or every run that nobody else does, until all are over."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    folder, parent, *names = sys.argv[1:]
    leave_with(int(parent))
    from kattn.comparison.jobs import do_jobs
    from kattn.comparison.plan import Plan
    from kattn.startup import import_file

    plan = Plan.read(Path(folder))
    for file in plan.settings.imports:
        import_file(file)
    do_jobs(plan, [job for job in plan.jobs if not names or job.name in names])


if __name__ == "__main__":
    main()
