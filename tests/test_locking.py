"""A lock belongs to one process, says to whom, ends with it, and is written through no link."""

import errno
import fcntl
import json
import math
import os
import signal
import socket
import threading
from pathlib import Path

import pytest

from kattn import locking
from kattn.locking import NAME, InUse, holder, locked, locked_folder


@pytest.fixture
def path(tmp_path):
    return tmp_path / NAME


def forked(work):
    """Do something in another process, to its end."""
    child = os.fork()
    if child == 0:
        work()
        os._exit(0)
    return os.waitpid(child, 0)[1]


def refused(path, **options):
    with pytest.raises(InUse) as caught, locked(path, **options):
        pass
    return str(caught.value)


def test_the_file_says_who_holds_it_and_goes_with_the_lock(path):
    with locked(path):
        assert holder(path) == (socket.gethostname(), os.getpid())
        assert set(json.loads(path.read_text())) == {"host", "pid", "since"}
    assert not path.exists()


def test_another_thread_and_another_process_are_refused_with_who_holds_it_since_when(path):
    expected = rf"process {os.getpid()} on {socket.gethostname()}, since 20"
    said = []
    with locked(path):
        thread = threading.Thread(target=lambda: said.append(refused(path)))
        thread.start()
        thread.join()
        assert forked(lambda: (path.parent / "child").write_text(refused(path))) == 0
    for text in (*said, (path.parent / "child").read_text()):
        assert expected in text and "Wait until it has ended, or choose another folder (out=)." in text
        assert "gone for good" not in text  # it is this machine


def test_a_lock_of_another_machine_says_what_to_do_when_that_is_gone(path):
    with locked(path):
        path.write_text(json.dumps({"host": "node\x1b7", "pid": 1, "since": "2026-01-01 00:00:00+00:00"}))
        said = refused(path)
        assert r"process 1 on node\x1b7, since 2026-01-01 00:00:00+00:00" in said
        assert f"If its machine is gone for good, remove {path}." in said
        path.unlink()
        with locked(path):  # as the message says
            assert holder(path)
    assert not path.exists()


@pytest.mark.parametrize(
    "content", ["", "{", "[1]", '{"host": 1, "pid": "x", "since": null}', "[" * 900, "\x00" * 5000]
)
def test_a_file_that_says_nothing_is_no_obstacle(path, content):
    path.write_text(content)
    assert holder(path) is None
    with locked(path):
        path.write_text(content)
        assert "in use by another process." in refused(path)


def test_a_killed_process_holds_nobody_up(path):
    def die():
        with locked(path):
            os.kill(os.getpid(), signal.SIGKILL)

    assert forked(die) == signal.SIGKILL
    assert holder(path) is not None
    with locked(path):
        assert holder(path)[1] == os.getpid()


def test_who_waits_gets_it_next(path):
    def hold():
        with locked(path):
            held.set()
            go_on.wait(10)

    held, go_on = threading.Event(), threading.Event()
    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(10)
    threading.Timer(0.3, go_on.set).start()
    with locked(path, wait=math.inf):
        assert not thread.is_alive() or go_on.is_set()
    thread.join()


def test_one_after_another_however_many_want_it(path):
    """Removing the file with the lock lets in no second holder."""
    inside, most, done = [], [], []

    def work():
        for _ in range(10):
            with locked(path, wait=60):
                inside.append(1)
                most.append(len(inside))
                inside.pop()
        done.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 4 and set(most) == {1} and not path.exists()


def test_a_link_is_not_followed(path):
    outside = path.with_name("outside")
    outside.write_text("mine")
    path.symlink_to(outside)
    with pytest.raises(OSError, match="is a symbolic link, which is not followed; remove it"), locked(path):
        pass
    path.unlink()
    os.link(outside, path)
    with pytest.raises(OSError, match="is a file of several names; remove it"), locked(path):
        pass
    assert outside.read_text() == "mine"


def test_a_full_disk_is_an_error_and_leaves_no_file(path, monkeypatch):
    def write(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(locking.os, "write", write)
        with pytest.raises(OSError, match="No space left"), locked(path):
            pass
    assert not path.exists()


def test_a_file_system_without_locks_is_said(path, monkeypatch, caplog):
    def flock(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", flock)
    with locked(path):
        pass
    assert "this file system has no locks" in caplog.text and not path.exists()


def test_a_folder_is_made_and_goes_again_if_it_stays_empty(tmp_path):
    with pytest.raises(KeyboardInterrupt), locked_folder(tmp_path / "a" / "b"):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
    with locked_folder(tmp_path / "a" / "b"):
        (tmp_path / "a" / "b" / "file").touch()
    assert [file.name for file in (tmp_path / "a" / "b").iterdir()] == ["file"]
    (tmp_path / "empty").mkdir()
    with locked_folder(tmp_path / "empty"):
        pass
    assert (tmp_path / "empty").is_dir()  # somebody else's


def test_a_folder_has_one_lock_by_whatever_link_it_is_reached(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "there")
    with pytest.raises(OSError, match=r"it is a link to .*there, which is not there"), locked_folder(tmp_path / "link"):
        pass
    (tmp_path / "there").mkdir()
    with locked_folder(tmp_path / "link"), pytest.raises(InUse), locked_folder(tmp_path / "there"):
        pass
    assert list((tmp_path / "there").iterdir()) == []


@pytest.mark.parametrize("error", [errno.EROFS, errno.EACCES])
def test_a_folder_that_cannot_be_made_is_an_error(tmp_path, monkeypatch, error):
    def mkdir(*_, **__):
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(Path, "mkdir", mkdir)
    with pytest.raises(OSError, match=os.strerror(error)), locked_folder(tmp_path / "a"):
        pass
