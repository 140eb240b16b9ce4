"""A search in several processes of one machine: KerasTuner's chief and workers, watched and restarted.

A chief waits for ever for a dead worker. When a worker is started again under its own id, it is handed the trial that
it left, and goes on with it.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

from kattn.tuning.plan import Plan
from kattn.tuning.records import SearchError
from kattn.tuning.results import read_trials
from kattn.tuning.space import written

COMMAND = (sys.executable, "-m", "kattn.tuning.worker")
LOGS = "logs"
FAILED = 3  # exit status of a worker whose trial ended with an error: starting it again would not help
DEATHS = 5  # of one worker, while no worker finishes a trial
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
        processes.stop()


class Processes:
    """The chief and the workers of a search, each a child process.

    Args:
        plan: The search.
        count: Number of workers.
    """

    def __init__(self, plan: Plan, count: int) -> None:
        self.plan = plan
        self.logs = plan.path / LOGS
        shutil.rmtree(self.logs, ignore_errors=True)
        if self.logs.is_symlink():
            self.logs.unlink()
        self.logs.mkdir(parents=True)
        with socket.socket() as free:
            free.bind((HOST, 0))
            self.port = free.getsockname()[1]
        self.deaths = {f"worker{i}": 0 for i in range(1, count + 1)}
        self.chief = self.start("chief")
        self.workers = {name: self.start(name) for name in self.deaths}
        self.seen = read_trials(plan.trials)

    def start(self, name: str) -> subprocess.Popen[bytes]:
        """Start a child under this id; its output goes to its log."""
        own = {"KERASTUNER_TUNER_ID": name, "KERASTUNER_ORACLE_IP": HOST, "KERASTUNER_ORACLE_PORT": str(self.port)}
        environment = {**os.environ, **own, "no_grpc_proxy": HOST, "PYTHONUNBUFFERED": "1"}
        with open(self.log(name), "a") as log:
            return subprocess.Popen(
                [*COMMAND, str(self.plan.path), str(os.getpid())],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def log(self, name: str) -> Path:
        """The file with a child's output."""
        return self.logs / f"{name}.txt"

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
                self.deaths = dict.fromkeys(self.deaths, 0)
            self.seen = trials
            if self.chief.poll() not in (None, 0):
                raise SearchError(f"The search's chief ended: {self.last_line('chief')} resume=True goes on.")
            time.sleep(PERIOD)

    def replace(self, name: str, status: int) -> subprocess.Popen[bytes]:
        """Start a dead worker again, under its id."""
        if status == FAILED:
            raise SearchError(self.last_line(name))
        self.deaths[name] += 1
        if self.deaths[name] >= DEATHS:
            raise SearchError(
                f"{name} ended {DEATHS} times in a row without a trial, the last time with status {status}: "
                f"{self.last_line(name)} Its output is in {self.log(name)}; resume=True goes on."
            )
        self.plan.say(f"{name} ended with status {status}; started again")
        return self.start(name)

    def last_line(self, name: str) -> str:
        """The last line of a child's output."""
        lines = self.log(name).read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else "it printed nothing."

    def stop(self) -> None:
        """End the children that still run."""
        running = [child for child in (self.chief, *self.workers.values()) if child.poll() is None]
        for child in running:
            child.kill()  # their files are whole at every moment
        for child in running:
            child.wait()
