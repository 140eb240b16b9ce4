"""The runs of a comparison in several processes of one machine, watched and restarted."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable

from kattn.children import Children, stop
from kattn.comparison.errors import ComparisonError
from kattn.comparison.plan import LOGS, Plan

COMMAND = (sys.executable, "-m", "kattn.comparison.worker")
PERIOD = 0.3  # seconds between looks
# Variables that bound the threads of TensorFlow, of OpenMP (torch) and of XLA on a processor (JAX).
THREADS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS", "NPROC")


def run_workers(plan: Plan, count: int, look: Callable[[], bool]) -> None:
    """Do all runs in so many processes, and return when all are over. No child outlives the call.

    Each process takes the next run that no other one has; the run of one that dies is gone on with.

    Args:
        plan: The comparison.
        count: Number of processes.
        look: Reports the runs that have ended since the last look; true where there were any.

    Raises: ComparisonError where a process keeps dying.
    """
    names = [f"worker{i}" for i in range(1, count + 1)]
    crew = Children(names, plan.path / LOGS, ComparisonError, "a run", plan.say)

    def start(name: str) -> subprocess.Popen[bytes]:
        command = [*COMMAND, str(plan.path), str(os.getpid())]
        return crew.launch(name, command, threads_of(plan))

    running: dict[str, subprocess.Popen[bytes]] = {}
    try:
        running |= {name: start(name) for name in names}
        while any(child.poll() != 0 for child in running.values()):
            for name, child in running.items():
                if child.poll() not in (None, 0):
                    crew.count_death(name, child.returncode)
                    running[name] = start(name)
            if look():
                crew.got_on()
            time.sleep(PERIOD)
    finally:
        stop(running.values())
    look()


def threads_of(plan: Plan) -> dict[str, str]:
    """The environment that gives a run its threads: results depend on their number to the last digits."""
    return dict.fromkeys(THREADS, str(plan.settings.threads or 1))
