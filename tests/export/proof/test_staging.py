"""What was written takes its names together, or what was there keeps them."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import threading

import pytest
from support.killed import KINDS, ROWS, read, write

from kattn.export import ExportError, ExportInputError
from kattn.export.formats import FORMATS
from kattn.export.proof import staging
from kattn.export.proof.staging import staged
from kattn.locking import locked

every_kind = pytest.mark.parametrize("kind", KINDS)


def export(folder, kind, age="new", **options):
    with staged(folder / KINDS[kind], ROWS[kind], **options) as stage:
        write(stage.folder, kind, age)
        (stage.scratch / "half.bin").write_bytes(b"in between")


def whole(kind, age):
    return {"artefact": age, "data": age if kind == "two files" else None, "report": age, "stages": 0}


@every_kind
@pytest.mark.parametrize("earlier", [False, True])
def test_new_files_replace_what_was_there(kind, earlier, tmp_path):
    if earlier:
        write(tmp_path, kind, "old")
    export(tmp_path, kind)
    assert read(tmp_path, kind) == whole(kind, "new")


def fail_at(monkeypatch, function, error, number=0):
    """Let a function of os fail with `error` from its call number `number` on."""
    real, calls = getattr(os, function), []

    def fails(*arguments, **options):
        calls.append(arguments)
        if len(calls) > number:
            raise error
        return real(*arguments, **options)

    monkeypatch.setattr(os, function, fails)


@pytest.mark.parametrize(
    ("kind", "number"),
    [("one file", 0), ("one file", 1), ("folder", 0), ("folder", 1), ("two files", 1), ("two files", 2)],
)
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()], ids=repr)
@pytest.mark.parametrize("earlier", [False, True])
def test_a_rename_that_fails_leaves_what_was_there(kind, number, error, earlier, tmp_path, monkeypatch):
    if earlier:
        write(tmp_path, kind, "old")
    with monkeypatch.context() as patched:
        fail_at(patched, "replace", error, number)
        expected = KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else ExportError
        with pytest.raises(expected, match=None if expected is KeyboardInterrupt else "no space is left on the disk"):
            export(tmp_path, kind)
    assert read(tmp_path, kind) == (whole(kind, "old") if earlier else whole(kind, None))


@pytest.mark.parametrize("kind", ["one file", "folder"])
def test_a_folder_for_it_that_was_made_goes_again(kind, tmp_path):
    with pytest.raises(RuntimeError), staged(tmp_path / "a" / "b" / KINDS[kind], ROWS[kind]):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_crash_between_aside_and_in_is_repaired_by_the_next_export(tmp_path):
    """The stage of a killed export holds the earlier folder, which had lost its name."""
    work = tmp_path / ".m.abcd1234.tmp"
    for part in ("new", "previous"):
        (work / part).mkdir(parents=True)
    write(work / "previous", "folder", "old")
    found = []
    with contextlib.suppress(KeyboardInterrupt), staged(tmp_path / "m", FORMATS["saved_model"]):
        found.append(read(tmp_path, "folder"))
        raise KeyboardInterrupt
    assert found == [whole("folder", "old") | {"stages": 1}]
    assert read(tmp_path, "folder") == whole("folder", "old")


def test_the_stage_of_a_running_export_is_left_alone(tmp_path):
    with staged(tmp_path / "m.onnx", FORMATS["onnx"]) as first:
        write(first.folder, "one file", "first")
        export(tmp_path, "one file", "second")
        assert first.path.exists()
    assert read(tmp_path, "one file") == whole("one file", "first")


@every_kind
def test_two_exports_of_one_name_do_not_mix(kind, tmp_path, monkeypatch):
    """The second one waits while the first one gives its files their names, however long that takes."""
    inside, go_on, replace = threading.Event(), threading.Event(), os.replace
    first = threading.Thread(target=lambda: export(tmp_path, kind, "first"))
    second = threading.Thread(target=lambda: export(tmp_path, kind, "second"))

    def slowly(source, target):
        replace(source, target)
        if threading.current_thread() is first:
            inside.set()
            assert go_on.wait(30)

    monkeypatch.setattr(os, "replace", slowly)
    first.start()
    assert inside.wait(30)
    second.start()
    second.join(0.3)
    assert second.is_alive()
    go_on.set()
    first.join()
    second.join()
    assert read(tmp_path, kind) == whole(kind, "second")
    assert not list(tmp_path.glob(".*"))


def test_an_export_that_finds_another_one_stuck_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(staging, "PATIENCE", 0.1)
    with locked(tmp_path / ".m.onnx.lock"), pytest.raises(ExportError, match=r"m\.onnx was not written: .* in use by"):
        export(tmp_path, "one file")
    assert list(tmp_path.iterdir()) == []


def test_a_file_keeps_its_name_where_there_are_no_hard_links(tmp_path, monkeypatch):
    write(tmp_path, "one file", "old")
    with monkeypatch.context() as patched:
        fail_at(patched, "link", OSError(errno.EPERM, "Operation not permitted"))
        export(tmp_path, "one file")
    assert read(tmp_path, "one file") == whole("one file", "new")


def test_a_disk_that_is_another(tmp_path):
    """A folder for temporary files that is full is not the target's fault."""
    error = OSError(errno.ENOSPC, "No space left on device", "/elsewhere/scratch")
    said = pytest.raises(ExportError, match=r"no space is left on the disk \(/elsewhere/scratch\)")
    with said, staged(tmp_path / "m.onnx", FORMATS["onnx"]):
        raise error


@every_kind
def test_a_folder_that_cannot_be_written(kind, tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(ExportError, match="a part of the path is a file, not a folder"):
        export(tmp_path / "file", kind)


def test_a_folder_without_permission(tmp_path, monkeypatch):
    fail_at(monkeypatch, "mkdir", PermissionError(errno.EACCES, "Permission denied"))
    with pytest.raises(ExportError, match="the folder is not writable"):
        export(tmp_path, "one file")


@every_kind
def test_overwrite_false(kind, tmp_path):
    write(tmp_path, kind, "old")
    with pytest.raises(ExportInputError, match="exists and overwrite=False"):
        export(tmp_path, kind, overwrite=False)
    assert read(tmp_path, kind) == whole(kind, "old")


def test_what_is_no_artefact_is_not_replaced(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "one.jpg").write_bytes(b"precious")
    (tmp_path / "notes").write_text("precious")
    for name, row, said in (
        ("photos", "saved_model", "holds no SavedModel; it is not replaced"),
        ("notes", "saved_model", "is a file; a SavedModel is a folder"),
        ("photos", "tflite", "is a folder; name the file"),
    ):
        with pytest.raises(ExportInputError, match=said), staged(tmp_path / name, FORMATS[row]):
            pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes", "photos"]
    assert (tmp_path / "photos" / "one.jpg").read_bytes() == b"precious"


@pytest.mark.parametrize("row", [FORMATS["tflite"], FORMATS["onnx"]], ids=lambda row: row.name)
@pytest.mark.parametrize("name", ["m", "m.pb"])
def test_a_name_that_no_runtime_would_know(row, name, tmp_path):
    said = rf"The path must end in {re.escape(row.suffix)}.*Received: .*{name}$"
    with pytest.raises(ExportInputError, match=said), staged(tmp_path / name, row):
        pass
    assert list(tmp_path.iterdir()) == []
