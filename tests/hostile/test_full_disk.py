"""A disk that fills at any step: one error that says which file, earlier files as they were, nothing half-written.

When there is room again, the same call gives what an uninterrupted one gives.
"""

import contextlib
import errno
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import keras
import pytest
from support.commands import COMMANDS, contents, differences, prepare
from support.training import EAGER

from kattn.files import PREFIX

FULL = re.compile(r"(the disk is full|no space is left on the disk|room for 0 MB)", re.IGNORECASE)
STEPS = 200  # more than any command writes
COMMANDS = {name: row for name, row in COMMANDS.items() if name != "compare"}  # it trains in other processes
EARLIER = [name for name in COMMANDS if name not in ("train", "tune", "evaluate")]  # what replaces an earlier result


@pytest.fixture(scope="module", autouse=True)
def untraced():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.Model, "run_eagerly", EAGER)
        yield


@pytest.fixture(scope="module")
def weights_and_model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    prepare(folder, trained=False)
    return folder


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    prepare(folder)
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What an uninterrupted call leaves, and where."""
    made = {}

    def of(name, inputs):
        if name not in made:
            out = tmp_path_factory.mktemp("whole") / "out"
            out.mkdir()
            COMMANDS[name].run(inputs, out)
            made[name] = (out, contents(out))
        return made[name]

    return of


def full_from(patch, number, place):
    """Let the step `number` and all later ones find the disk of a folder full. Returns: the steps so far.

    A step begins a file, gives it its name, or makes a folder; of a file that gets its name half is there already.
    """
    steps = []

    def wrapped(real, folder_at):
        def call(*arguments, **options):
            path = Path(options.get("dir") or next(iter(arguments[folder_at:]), None) or tempfile.gettempdir())
            there = options.get("exist_ok") and path.is_dir()
            if there or not path.is_relative_to(place):
                return real(*arguments, **options)
            steps.append(path)
            if len(steps) < number:
                return real(*arguments, **options)
            if path.name.startswith(PREFIX):
                os.truncate(path, path.stat().st_size // 2)
            raise OSError(errno.ENOSPC, "No space left on device", str(path))

        return call

    where = {(os, "replace"): 0, (Path, "mkdir"): 0, (tempfile, "mkstemp"): 2, (tempfile, "mkdtemp"): 2}
    for (owner, name), number_of_folder in where.items():
        patch.setattr(owner, name, wrapped(getattr(owner, name), number_of_folder))
    return steps


def fails_clearly(command, inputs, out):
    """Whether the command fails for want of room, then with an error that says so and where; it leaves nothing half."""
    try:
        command.run(inputs, out)
        return False
    except (OSError, RuntimeError, ValueError) as error:
        said = f"{type(error).__name__}: {error}"
    assert FULL.search(said) and str(out) in said, said
    hidden = [name for name in contents(out) if any(part.startswith(".") for part in Path(name).parts)]
    assert hidden == [], said
    return True


def check(name, number, inputs, whole, out, again):
    """One try: the disk is full from a step on, then no more. Returns: whether the command got so far."""
    command, (made, expected) = COMMANDS[name], whole
    shutil.copytree(made, out) if again else out.mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        full_from(patch, number, out)
        failed = fails_clearly(command, inputs, out)
    if failed:
        left = contents(out)
        assert differences(left, expected, () if again else command.growing) == []
        assert not again or left == expected
        command.run(inputs, out)
    assert differences(contents(out), expected) == []
    return failed


@pytest.mark.parametrize("name", ["convert", "convert back"])
def test_some_steps(name, weights_and_model, whole, tmp_path):
    """tests/training/test_resuming.py has a training that stops at a full disk."""
    for number in (1, 2, 3):
        made = whole(name, weights_and_model)
        failed = check(name, number, weights_and_model, made, tmp_path / f"{number}" / "out", number == 2)
        assert failed == (number < 3)


@pytest.mark.slow
@pytest.mark.parametrize("again", [False, True], ids=["fresh", "again"])
@pytest.mark.parametrize("name", COMMANDS)
def test_every_step(name, again, inputs, whole, tmp_path, record_property):
    if again and name not in EARLIER:
        pytest.skip("it replaces nothing")
    steps = 0
    for number in range(1, STEPS):
        if not check(name, number, inputs, whole(name, inputs), tmp_path / f"{number}" / "out", again):
            break
        steps = number
    record_property("steps", steps)
    print(f"{name}: {steps} steps, {'over an earlier result' if again else 'fresh'}")
    assert (steps == 0) == (name == "evaluate") and steps < STEPS - 1


# ---------------------------------------------------------------- a real disk


@pytest.fixture
def disk(tmp_path):
    """A disk of 64 MB, and a function that leaves so much room on it."""
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", place], capture_output=True)
    if made.returncode:
        pytest.skip("only root mounts a disk")
    filler = place / "filler"

    def leave(kilobytes):
        filler.unlink(missing_ok=True)
        free = shutil.disk_usage(place).free
        if kilobytes is not None:
            with open(filler, "wb") as file:
                os.posix_fallocate(file.fileno(), 0, max(4096, free - kilobytes * 1024))

    yield place, leave
    subprocess.run(["umount", "-l", place], check=True)


ROOMS = (0, 4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 1024, 2048, 8192)  # kilobytes


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_a_small_disk(name, inputs, whole, disk):
    place, leave = disk
    command, (made, expected) = COMMANDS[name], whole(name, inputs)
    failures = 0
    for again in (False, True) if name in EARLIER else (False,):
        for room in ROOMS:
            out = place / f"{room}{again}" / "out"
            leave(None)
            out.parent.mkdir()
            shutil.copytree(made, out) if again else out.mkdir()
            leave(room)
            failed = fails_clearly(command, inputs, out)
            left = contents(out)
            leave(None)
            if failed:
                failures += 1
                assert differences(left, expected, () if again else command.growing) == []
                assert not again or left == expected
                command.run(inputs, out)
            assert differences(contents(out), expected) == []
            shutil.rmtree(out.parent)
            if not failed:
                break
    print(f"{name}: {failures} failures on a small disk")
    assert (failures == 0) == (name == "evaluate")


def test_a_failed_step_is_counted(tmp_path):
    """The harness itself: what it makes fail, it makes fail."""
    from kattn.files import write_text

    for number in (1, 2):
        with pytest.MonkeyPatch.context() as patch, contextlib.suppress(OSError):
            steps = full_from(patch, number, tmp_path)
            write_text(tmp_path / "a", "text")
        assert len(steps) == number and list(tmp_path.iterdir()) == []
