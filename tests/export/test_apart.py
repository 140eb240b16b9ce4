"""What ends its process ends a child, and what is said of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from kattn import apart
from kattn.apart import stop_child
from kattn.export import ExportError, ExportInputError
from kattn.export.apart import ChildEnded, load_arrays, run_apart, save_arrays

TASKS = "support.tasks"


def run(task, **arguments):
    return run_apart(f"{TASKS}:{task}", "The kernel", **arguments)


def gone(pid):
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def test_tasks_are_done_by_one_other_process():
    assert run("add", a=1, b=2) == 3
    assert run("process") == run("process") != os.getpid()


def test_errors_come_back_as_they_are():
    with pytest.raises(ExportInputError, match="no such thing"):
        run("refuse")
    with pytest.raises(OSError, match="No space left") as caught:
        run("full")
    assert caught.value.errno == 28
    with pytest.raises(ExportError, match="KeyError: 'unforeseen'"):
        run("fail")
    with pytest.raises(ExportError, match=r"AttributeError.*missing"):
        run("missing")
    assert run("add", a=1, b=1) == 2


def test_one_that_dies_is_an_error_and_the_next_task_has_a_new_one():
    first = run("process")
    with pytest.raises(ChildEnded, match=r"The kernel ended the process that it ran in \(signal SIGABRT\).*last words"):
        run("die")
    with pytest.raises(ChildEnded, match=r"\(status 3\)"):
        run("die", status=3)
    assert run("process") != first


def test_one_killed_between_tasks_is_replaced():
    os.kill(run("process"), signal.SIGKILL)
    time.sleep(0.2)
    assert run("add", a=2, b=2) == 4


def test_one_that_ends_for_want_of_tasks_while_it_is_asked_is_replaced(tmp_path):
    run("leave_once", left=str(tmp_path / "left"))
    assert (tmp_path / "left").exists()
    with pytest.raises(ChildEnded, match=r"\(status 0\)"):
        run("die", status=0)


def test_an_interrupt_ends_it(tmp_path):
    run("process")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # it is ignored in what a shell starts behind it

    def interrupt():
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            time.sleep(0.02)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            run("sleep", started=str(tmp_path / "pid"))
    finally:
        signal.signal(signal.SIGINT, before)
    assert gone(int((tmp_path / "pid").read_text()))
    assert run("add", a=1, b=1) == 2


def test_it_ends_with_its_parent_however_that_ends(tmp_path):
    code = f"""
import os, threading, time
from kattn.export.apart import run_apart
started = {str(tmp_path / "pid")!r}
def kill():
    while not os.path.exists(started) or not open(started).read():
        time.sleep(0.02)
    os.kill(os.getpid(), 9)
threading.Thread(target=kill).start()
run_apart("{TASKS}:sleep", "", started=started)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == -signal.SIGKILL
    assert gone(int((tmp_path / "pid").read_text()))


def test_progress_is_shown_at_a_terminal_after_a_while(monkeypatch, capsys):
    assert run("count", to=3) == 3
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(apart, "SHOWN_AFTER", 0)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert run("count", to=3) == 3
    assert "The kernel" in capsys.readouterr().err


def test_without_an_interpreter_to_start_the_work_is_done_here(monkeypatch):
    monkeypatch.setattr(sys, "executable", "")
    assert run("process") == os.getpid()


def test_arrays_under_any_name(tmp_path):
    arrays = {"file": np.arange(3, dtype="uint8"), "a/b": np.ones((2, 1), "float32"), "größe": np.zeros(1, "int64")}
    found = load_arrays(save_arrays(tmp_path / "x.npz", arrays))
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype and (found[name] == array).all()


@pytest.fixture(scope="module", autouse=True)
def nothing_left_running():
    yield
    stop_child()
