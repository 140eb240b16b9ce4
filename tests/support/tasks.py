"""Tasks for the child of `kattn.apart`, some of which end it."""

from __future__ import annotations

import os
import time

from kattn.export.errors import ExportInputError


def add(a, b):
    return a + b


def process():
    return os.getpid()


def die(status=None):
    print("the last words", file=os.fdopen(2, "w"), flush=True)
    os.abort() if status is None else os._exit(status)


def refuse():
    raise ExportInputError("no such thing")


def full():
    raise OSError(28, "No space left on device")


def fail():
    raise KeyError("unforeseen")


def count(to, progress):
    for done in range(to):
        progress(done + 1, to)
    return to


def sleep(started):
    with open(started, "w") as file:
        file.write(str(os.getpid()))
    time.sleep(60)


def leave_once(left):
    if not os.path.exists(left):
        open(left, "w").close()
        os._exit(0)


def read_and_die(path, name):
    die()


def read_for_ever(path, name):
    time.sleep(600)


def read_into_much_memory(path, name):
    from kattn import hdf5

    with hdf5.memory_limited(hdf5.ALLOWANCE):
        bytearray(1 << 30)
