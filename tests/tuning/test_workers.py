"""A chief and its workers: the same result, dead workers started again, nobody left behind."""

import os
import socket
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest
from support.searching import UNTRACED, WORKER, same_result, search

from kattn.tuning import SearchError, workers


@pytest.fixture
def children(monkeypatch):
    """(name, process) of every child that is started; they train without tracing."""
    started, start = [], workers.Processes.start

    def noted(processes, name, mode="a"):
        started.append((name, start(processes, name, mode)))
        return started[-1][1]

    monkeypatch.setattr(workers.Processes, "start", noted)
    monkeypatch.setattr(workers, "COMMAND", WORKER)
    return started


def test_two_workers_find_the_same_and_a_dead_one_is_started_again(straight, children, tmp_path, capsys):
    out = tmp_path / "search"

    def kill_one():
        log = out / "logs" / "worker1.txt"
        while not (log.is_file() and "epoch 1/2" in log.read_text()):
            time.sleep(0.02)
        next(child for name, child in children if name == "worker1").kill()

    threading.Thread(target=kill_one, daemon=True).start()
    found = search(out, workers=2, verbose=True)
    same_result(straight, found)
    assert "worker1 ended with status -9; started again" in capsys.readouterr().out
    assert [name for name, _ in children] == ["chief", "worker1", "worker2", "worker1"]
    assert all(child.poll() is not None for _, child in children)


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
    plan = SimpleNamespace(path=tmp_path, trials=tmp_path / "trials", say=print)
    with pytest.raises(SearchError, match=message):
        workers.run_workers(plan, 1)
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
