"""A chief and its workers: the same result, dead workers started again, nobody left behind."""

import os
import socket
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest
from support.searching import PRETENDED_WORKER, UNTRACED, WORKER, pretend, same_result, search

from kattn.tuning import SearchError, workers


@pytest.fixture
def children(monkeypatch):
    """(name, process) of every child that is started."""
    started, start = [], workers.Processes.start

    def noted(processes, name):
        started.append((name, start(processes, name)))
        return started[-1][1]

    monkeypatch.setattr(workers.Processes, "start", noted)
    return started


def kill_worker1(children, log, line):
    """Kill the first worker as soon as it has printed something, in the middle of its trial."""

    def wait():
        while not (log.is_file() and line in log.read_text()):
            time.sleep(0.02)
        next(child for name, child in children if name == "worker1").kill()

    threading.Thread(target=wait, daemon=True).start()


@pytest.mark.slow
def test_two_workers_find_the_same_and_a_dead_one_is_started_again(pretended, children, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(workers, "COMMAND", PRETENDED_WORKER)
    options = {"space": {"reduction": [4, 8]}, "overrides": {"epochs": 2}}
    straight = pretend(tmp_path / "straight", **options)
    kill_worker1(children, tmp_path / "search" / "logs" / "worker1.txt", "trial 000")
    same_result(straight, pretend(tmp_path / "search", workers=2, **options, verbose=True))
    assert "worker1 ended with status -9; started again" in capsys.readouterr().out
    assert [name for name, _ in children] == ["chief", "worker1", "worker2", "worker1"]
    assert all(child.poll() is not None for _, child in children)


@pytest.mark.slow
def test_workers_that_train_find_the_same_also_where_one_died(straight, children, tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "COMMAND", WORKER)
    kill_worker1(children, tmp_path / "search" / "logs" / "worker1.txt", "epoch 1/2")
    same_result(straight, search(tmp_path / "search", workers=2, verbose=True))
    assert [name for name, _ in children] == ["chief", "worker1", "worker2", "worker1"]


PLAYED = """
import os, sys, time
name = os.environ["KERASTUNER_TUNER_ID"]
if name == "chief":
    {chief}
else:
    {worker}
"""


@pytest.mark.parametrize(
    ("chief", "worker", "message", "count"),
    [
        ("time.sleep(60)", "print('trial 3 failed: no luck.'); sys.exit(3)", "^trial 3 failed: no luck", 2),
        ("time.sleep(60)", "print('oh'); sys.exit(1)", r"worker1 ended 5 times in a row .* status 1: oh", 6),
        ("sys.exit(1)", "time.sleep(60)", "The search's chief ended: it printed nothing", 2),
    ],
)
def test_children_that_cannot_go_on_end_the_search_and_none_is_left(
    children, tmp_path, monkeypatch, chief, worker, message, count
):
    monkeypatch.setattr(workers, "COMMAND", (sys.executable, "-c", PLAYED.format(chief=chief, worker=worker)))
    out, mine = tmp_path / "search", tmp_path / "mine"
    out.mkdir()
    mine.mkdir()
    (out / "logs").symlink_to(mine)  # is replaced
    plan = SimpleNamespace(path=out, trials=out / "trials", say=print)
    with pytest.raises(SearchError, match=message):
        workers.run_workers(plan, 1)
    assert not list(mine.iterdir()) and (out / "logs" / "chief.txt").is_file()
    assert len(children) == count and all(child.poll() is not None for _, child in children)


def test_ctrl_c_leaves_no_child_behind(children, tmp_path, monkeypatch):
    def interrupt(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(workers, "COMMAND", (sys.executable, "-c", "import time\ntime.sleep(60)"))
    monkeypatch.setattr(workers, "time", SimpleNamespace(sleep=interrupt))
    with pytest.raises(KeyboardInterrupt):
        workers.run_workers(SimpleNamespace(path=tmp_path, trials=tmp_path / "trials", say=print), 2)
    assert len(children) == 3 and all(child.poll() is not None for _, child in children)


@pytest.mark.slow
def test_the_environment_makes_a_call_the_chief_or_a_worker(straight, tmp_path):
    code = UNTRACED + "from support.searching import search\nprint(search(sys.argv[1]).best['trial'])\n"
    command = [sys.executable, "-c", code, str(tmp_path / "s")]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {**os.environ, "KERASTUNER_ORACLE_IP": "127.0.0.1", "KERASTUNER_ORACLE_PORT": port}
    running = [
        subprocess.Popen(command, env={**shared, "KERASTUNER_TUNER_ID": name}, stdout=subprocess.PIPE, text=True)
        for name in ("chief", "worker1", "worker2")
    ]
    try:
        said = [child.communicate(timeout=300)[0].split() for child in running]
    finally:
        for child in running:
            child.kill()
    assert [words[-1:] for words in said] == [[straight.best["trial"]]] * 3
