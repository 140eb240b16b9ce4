"""A search in several processes of one machine: KerasTuner's chief and workers, watched and restarted.

A chief waits for ever for a dead worker. When a worker is started again under its own id, it is handed the trial that
it left, and goes on with it.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time

from kattn.children import Children, stop
from kattn.tuning.plan import Plan
from kattn.tuning.records import SearchError
from kattn.tuning.results import read_trials
from kattn.tuning.space import written

COMMAND = (sys.executable, "-m", "kattn.tuning.worker")
LOGS = "logs"
FAILED = 3  # exit status of a worker whose trial ended with an error: starting it again would not help
PERIOD = 0.2  # seconds between looks
HOST = "127.0.0.1"  # the protocol has no password: nobody outside may reach the port


def run_workers(plan: Plan, count: int) -> None:
    """Run the search in a chief and so many workers, and return when it is over. No child outlives the call.

    Raises: SearchError where a trial failed, a worker keeps dying, or the chief has ended.
    """
    processes = Processes(plan, count)
    try:
        processes.run()
    finally:
        stop([processes.chief, *processes.workers.values()])


class Processes(Children):
    """The chief and the workers of a search, each a child process.

    Args:
        plan: The search.
        count: Number of workers.
    """

    def __init__(self, plan: Plan, count: int) -> None:
        names = [f"worker{i}" for i in range(1, count + 1)]
        super().__init__(names, plan.path / LOGS, SearchError, "a trial", plan.say)
        self.plan = plan
        with socket.socket() as free:
            free.bind((HOST, 0))
            self.port = free.getsockname()[1]
        self.chief = self.start("chief")
        self.workers = {name: self.start(name) for name in names}
        self.seen = read_trials(plan.trials)

    def start(self, name: str) -> subprocess.Popen[bytes]:
        """Start a child under this id."""
        own = {"KERASTUNER_TUNER_ID": name, "KERASTUNER_ORACLE_IP": HOST, "KERASTUNER_ORACLE_PORT": str(self.port)}
        command = [*COMMAND, str(self.plan.path), str(os.getpid())]
        return self.launch(name, command, {**own, "no_grpc_proxy": HOST})

    def run(self) -> None:
        """Watch until all workers have ended because no trial is left, or the chief because the search is over.

        Not until both: the chief checks only every 20 seconds, and a worker that starts late would wait an hour for a
        chief that has ended.
        """
        while self.chief.poll() != 0 and any(worker.poll() != 0 for worker in self.workers.values()):
            for name, worker in self.workers.items():
                if worker.poll() not in (None, 0):
                    self.workers[name] = self.replace(name, worker.returncode)
            trials = read_trials(self.plan.trials)
            for trial in [name for name in trials if name not in self.seen]:
                record = trials[trial]
                values = " ".join(f"{key}={written(value)}" for key, value in record["values"].items())
                self.plan.say(
                    f"trial {trial}: {values}: validation accuracy {record['accuracy']:.4f}, {record['status']}"
                )
                self.got_on()
            self.seen = trials
            if self.chief.poll() not in (None, 0):
                raise SearchError(f"The search's chief ended: {self.last_line('chief')} resume=True goes on.")
            time.sleep(PERIOD)

    def replace(self, name: str, status: int) -> subprocess.Popen[bytes]:
        """Start a dead worker again, under its id."""
        if status == FAILED:
            raise SearchError(self.last_line(name))
        self.count_death(name, status)
        return self.start(name)
