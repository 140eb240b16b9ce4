"""Files are whole or as they were."""

import ast
import errno
import os
import resource
import stat
import time

import pytest
from support import TESTS

from kattn.files import PREFIX, append_bytes, remove_unfinished, shown, write_bytes, write_csv, write_text, writing


def leftovers(folder):
    return [path.name for path in folder.iterdir() if path.name.startswith(PREFIX)]


def test_a_file_is_written_and_nothing_is_left_beside_it(tmp_path):
    write_text(tmp_path / "a.txt", "eins\nzwei\n")
    write_text(tmp_path / "a.txt", "drei\r\n")
    assert (tmp_path / "a.txt").read_bytes() == b"drei\r\n"
    assert leftovers(tmp_path) == []


def test_a_table_has_the_columns_of_its_first_row_or_those_asked_for(tmp_path):
    write_csv(tmp_path / "a.csv", [{"name": "a, b", "value": 1 / 3}])
    assert (tmp_path / "a.csv").read_text() == 'name,value\n"a, b",0.3333333333333333\n'
    write_csv(tmp_path / "a.csv", [], ["epoch"])
    assert (tmp_path / "a.csv").read_text() == "epoch\n"


def test_the_temporary_name_ends_as_the_file_does(tmp_path):
    with writing(tmp_path / "m.weights.h5") as temporary:
        assert temporary.name.endswith("m.weights.h5") and temporary.parent == tmp_path


def test_an_error_leaves_the_file_as_it_was(tmp_path):
    write_text(tmp_path / "a.txt", "whole")

    def stop_halfway():
        with writing(tmp_path / "a.txt") as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop_halfway()
    assert (tmp_path / "a.txt").read_text() == "whole"
    assert leftovers(tmp_path) == []


def test_a_link_is_replaced_and_not_followed(tmp_path):
    outside = tmp_path / "outside"
    outside.write_text("mine")
    link = tmp_path / "report.html"
    link.symlink_to(outside)
    write_text(link, "page")
    assert outside.read_text() == "mine"
    assert link.read_text() == "page" and not link.is_symlink()


def test_a_full_disk_is_said_with_the_file_and_changes_nothing(tmp_path):
    write_bytes(tmp_path / "a.bin", b"whole")
    with pytest.raises(OSError, match=r"a\.bin could not be written: the disk is full"), writing(tmp_path / "a.bin"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert (tmp_path / "a.bin").read_bytes() == b"whole"
    assert leftovers(tmp_path) == []


def test_a_folder_that_is_not_there_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none/a\.txt could not be written"):
        write_text(tmp_path / "none" / "a.txt", "")


def test_permissions_are_those_of_any_new_file(tmp_path):
    write_text(tmp_path / "a.txt", "")
    (tmp_path / "b.txt").write_text("")
    modes = {stat.S_IMODE(os.stat(tmp_path / name).st_mode) for name in ("a.txt", "b.txt")}
    assert len(modes) == 1


def test_what_a_killed_process_left_is_removed_on_request(tmp_path):
    (tmp_path / f"{PREFIX}x-config.json").write_text("half")
    (tmp_path / "config.json").write_text("whole")
    (tmp_path / f"{PREFIX}y-report.html").write_text("somebody else writes it at this moment")
    (tmp_path / f"{PREFIX}z-report.html").write_text("somebody else began it two days ago")
    os.utime(tmp_path / f"{PREFIX}z-report.html", (0, time.time() - 2 * 86400))
    remove_unfinished(tmp_path, ["config.json"])
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{PREFIX}y-report.html", "config.json"]


def test_what_is_added_is_added_whole_or_not_at_all(tmp_path):
    append_bytes(tmp_path / "log", b"one")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5, hard))
    try:
        with pytest.raises(OSError, match="log could not be written: File too large"):
            append_bytes(tmp_path / "log", b"two")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (tmp_path / "log").read_bytes() == b"one"
    append_bytes(tmp_path / "log", b"two")
    assert (tmp_path / "log").read_bytes() == b"onetwo"
    (tmp_path / "link").symlink_to(tmp_path / "log")
    with pytest.raises(OSError, match="link could not be written"):
        append_bytes(tmp_path / "link", b"three")
    assert (tmp_path / "log").read_bytes() == b"onetwo"


def test_names_are_shown_on_one_line_that_any_file_can_hold():
    assert shown("caf\udce9\n\x1b[31m") == r"caf\udce9\n\x1b[31m"
    assert shown("d\u00e9j\u00e0 vu") == "d\u00e9j\u00e0 vu"


# ---------------------------------------------------------------- nobody else writes

WRITE = {"write_text", "write_bytes", "savez", "savez_compressed", "savefig", "tofile", "save", "save_weights", "dump"}
WRITE |= {"mkstemp", "mkdtemp", "NamedTemporaryFile", "touch"}
BY_OTHER_MEANS = {
    "kattn/files.py": "it is the writer",
    "kattn/hdf5.py": "to memory, then through the writer; a file in memory to a temporary one, for a child process",
    "zoo/weights/saving.py": "to memory, then through the writer",
    "zoo/weights/loading.py": "to memory, to compare with",
    "kattn/comparison/folder.py": "to the writer's new file",
    "kattn/explain/drawing/pictures.py": "to memory, then through the writer",
    "kattn/explain/reports/map_files.py": "to the writer's new file",
    "kattn/runs/folder.py": "to the writer's new file",
    "zoo/weights/download.py": "to the writer's new file",
    "zoo/weights/transfer.py": "a download goes on where it ended; it gets its name when it is whole and right",
    "kattn/children.py": "what a process prints",
    "kattn/child.py": "to nowhere",
    "kattn/layer_checks/checks.py": "to a temporary folder",
    "kattn/layer_checks/elsewhere.py": "to a temporary folder, for a child process",
    "kattn/locking.py": "it is opened to be read",
    "kattn/startup.py": "to nowhere",
    "export/proof/staging.py": "to a stage, all of which gets its names at once",
    "export/apart.py": "to a temporary folder, for a child process",
    "export/to_onnx/export.py": "to a stage",
    "export/to_onnx/quantise.py": "to a stage",
    "export/to_saved_model/export.py": "to a stage",
    "export/to_tflite/convert.py": "to a stage",
    "export/to_tflite/converter.py": "to a stage",
    "export/to_tflite/export.py": "to a stage",
    "benchmarks/blocks.py": "to the kernel",
    "benchmarks/conventions.py": "a row at a time, hours apart",
    "benchmarks/export_time.py": "to a temporary folder",
    "benchmarks/insertion.py": "to a temporary folder",
    "benchmarks/turns.py": "to a pipe",
    "benchmarks/weights.py": "to a temporary folder",
}


def writes(file):
    """Whether a file of source opens, saves or dumps to a file of its own making."""
    for call in (node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)):
        method = call.func.attr if isinstance(call.func, ast.Attribute) else None
        name = method or (call.func.id if isinstance(call.func, ast.Name) else "")
        given = [*call.args, *(keyword.value for keyword in call.keywords)]
        texts = [each.value for each in given if isinstance(each, ast.Constant) and isinstance(each.value, str)]
        mode = any(set("wax+") & set(text) and set(text) <= set("rwaxbt+") for text in texts)
        system = method == "open" and isinstance(call.func.value, ast.Name) and call.func.value.id == "os"
        if method in WRITE or system or (name in ("open", "fdopen", "File") and mode):
            return True
    return False


def test_every_file_is_written_by_the_one_writer():
    root = TESTS.parent
    files = [file for part in ("kattn", "zoo", "export", "benchmarks") for file in (root / part).rglob("*.py")]
    assert {str(file.relative_to(root)) for file in files if writes(file)} == set(BY_OTHER_MEANS)
