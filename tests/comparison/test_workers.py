"""Workers of a comparison: each run once, dead workers started again, the same table as one process gives."""

import sys
import threading
import time

import pytest
from support.comparing import PRETENDED_WORKER, begun, made_up_plan, pretended_accuracy

from kattn.comparison import jobs, workers
from kattn.comparison.errors import ComparisonError
from kattn.comparison.results import collect, write

LABELS = ("resnet20", "se_resnet20", "cbam_resnet20")
LEFT = {label: ["left", "left"] for label in LABELS}


@pytest.fixture
def children(monkeypatch):
    """(name, process) of every child that is started."""
    started, launch = [], workers.Children.launch

    def noted(crew, name, *given):
        started.append((name, launch(crew, name, *given)))
        return started[-1][1]

    monkeypatch.setattr(workers.Children, "launch", noted)
    return started


@pytest.mark.slow
def test_two_workers_do_each_run_once_and_a_dead_one_is_started_again(children, tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "COMMAND", PRETENDED_WORKER)
    said = []
    plan = begun(made_up_plan(tmp_path / "several", LEFT))
    object.__setattr__(plan, "verbose", True)
    monkeypatch.setattr("builtins.print", lambda line, **_: said.append(line))

    def kill():
        while not ((log := plan.path / "logs" / "worker1.txt").is_file() and "begins" in log.read_text()):
            time.sleep(0.02)
        next(child for name, child in children if name == "worker1").kill()

    threading.Thread(target=kill, daemon=True).start()
    workers.run_workers(plan, 2, lambda: False)
    assert "worker1 ended with status -9; started again" in said
    assert all(child.poll() is not None for _, child in children) and len(children) == 3
    begins = [line for log in (plan.path / "logs").iterdir() for line in log.read_text().splitlines()]
    assert sorted(set(begins)) == sorted(f"begins {job.name}" for job in plan.jobs)
    assert len(begins) == len(plan.jobs) + 1  # the one of the dead worker was begun twice
    assert not list((plan.path / "runs").glob(".*.lock"))
    values = {label: [pretended_accuracy(label, seed) for seed in (0, 1)] for label in LABELS}
    one = made_up_plan(tmp_path / "one", values)
    for each in (plan, one):
        write(each, collect(each))
    for file in ("comparison.csv", "comparison.html", "comparison.json", "comparison.png", "runs.csv"):
        assert (plan.path / file).read_bytes() == (one.path / file).read_bytes()


def test_a_run_that_another_process_does_is_waited_for(tmp_path, monkeypatch):
    plan = made_up_plan(tmp_path, {"resnet20": ["left", "left"]})
    done, first, second = [], *plan.jobs
    monkeypatch.setattr(jobs, "PERIOD", 0.01)
    monkeypatch.setattr(
        jobs,
        "do_job",
        lambda plan, job: (
            done.append(job.name)
            or jobs.write_json(plan.folder(job) / "outcome.json", {"status": "diverged", "artefacts": {}})
        ),
    )
    for job in plan.jobs:
        plan.folder(job).mkdir(parents=True)
    lock = jobs.locked(plan.claim(first))
    lock.__enter__()
    threading.Timer(0.5, lambda: lock.__exit__(None, None, None)).start()
    jobs.do_jobs(plan, plan.jobs)
    assert done == [second.name, first.name]


def test_a_worker_that_keeps_dying_ends_the_comparison(children, tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "COMMAND", (sys.executable, "-c", "print('oh'); raise SystemExit(1)"))
    plan = made_up_plan(tmp_path, {"resnet20": ["left"]})
    with pytest.raises(ComparisonError, match=r"worker1 ended 5 times in a row without a run, .* status 1: oh"):
        workers.run_workers(plan, 1, lambda: False)
    assert len(children) == 5


def test_every_run_gets_the_threads_of_the_settings(tmp_path):
    plan = made_up_plan(tmp_path, {"resnet20": ["left"]}, threads=3)
    assert set(workers.threads_of(plan).values()) == {"3"} and "OMP_NUM_THREADS" in workers.threads_of(plan)
