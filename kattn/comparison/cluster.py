"""The runs of a comparison on several machines: tasks of a dask cluster, which hands out those of a dead worker anew.

The machines see the comparison's folder and the data at the same paths, and have kattn installed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from kattn.comparison.errors import ComparisonError
from kattn.comparison.plan import Plan
from kattn.comparison.settings import FILE
from kattn.comparison.workers import COMMAND, threads_of

RETRIES = 3  # of a run whose process dies


def run_cluster(plan: Plan, cluster: Any, look: Callable[[], bool]) -> None:
    """Do all runs on a cluster, and return when all are over.

    Args:
        plan: The comparison.
        cluster: The address of a dask scheduler, its scheduler file (.json), a dask cluster object or a Client.
        look: Reports the runs that have ended since the last look.

    Raises: ComparisonError where a run's process keeps dying.
    """
    from distributed import Client, as_completed

    own = None if isinstance(cluster, Client) else _client(cluster)
    client = own or cluster
    try:
        given = (str(plan.path), COMMAND[1:], threads_of(plan))
        left = {
            client.submit(do_run, job.name, *given, pure=False, retries=RETRIES): job
            for job in plan.jobs
            if not plan.over(job)
        }
        for future in as_completed(left):
            if future.status != "finished":
                client.cancel(list(left))
                raise ComparisonError(f"The run {left[future]} ended: {future.exception()} The same call goes on.")
            look()
    finally:
        if own is not None:
            own.close()
    look()


def _client(cluster: Any) -> Any:
    from distributed import Client

    file = isinstance(cluster, str | os.PathLike) and str(cluster).endswith(".json")
    try:
        return Client(scheduler_file=str(cluster)) if file else Client(cluster)
    except (OSError, ValueError) as error:
        raise ComparisonError(f"No dask scheduler answers at {cluster}: {error}") from error


def do_run(name: str, folder: str, program: tuple[str, ...], environment: Mapping[str, str]) -> None:
    """Do one run in a process of its own: training must not hold up what this worker says to its scheduler.

    Raises: RuntimeError where the folder is not seen here, or the process dies.
    """
    if not (Path(folder) / FILE).is_file():
        raise RuntimeError(f"This machine does not see the comparison's folder {folder}.")
    done = subprocess.run(
        [sys.executable, *program, folder, str(os.getpid()), name],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
    )
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "it printed nothing.").splitlines()[-1]
        raise RuntimeError(f"its process ended with status {done.returncode}: {said}")
