import os
from pathlib import Path

import numpy as np
import pytest
from support.training import tiny_model

from kattn.runs.folder import BEST, CONFIG, FILES, LAST, LOGS, METRICS, MODEL, STATE, RunError, RunFolder


def test_what_is_written_is_read_again(tmp_path):
    folder = RunFolder(tmp_path)
    rows = [{"epoch": 1, "loss": 0.1 + 0.2}, {"epoch": 2, "loss": 1e-9}]
    folder.write_history(rows)
    assert folder.history() == rows
    folder.write_state({"a": np.arange(3), "history": np.array("[]")})
    assert folder.read_state()["a"].tolist() == [0, 1, 2]
    folder.remove_state()
    assert folder.read_state() is None


def test_links_are_replaced_and_not_followed(tmp_path):
    outside = tmp_path / "outside"
    outside.write_text("mine")
    folder = RunFolder(tmp_path / "run")
    folder.start(clear=False)
    model = tiny_model(size=4)
    writers = {
        CONFIG: lambda: folder.write_json(CONFIG, {}),
        BEST: lambda: folder.write_weights(BEST, model),
        STATE: lambda: folder.write_state({}),
        "history.csv": lambda: folder.write_history([]),
        "model.keras": lambda: folder.write_model(model),
    }
    for name, write in writers.items():
        (folder.path / name).symlink_to(outside)
        write()
        assert not (folder.path / name).is_symlink()
    assert outside.read_text() == "mine"


def test_a_new_run_writes_no_logs_through_a_link_and_removes_what_a_killed_process_left(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    folder = RunFolder(tmp_path / "run")
    folder.start(clear=False)
    (folder.path / LOGS).symlink_to(tmp_path / "elsewhere")
    (folder.path / ".writing-x-config.json").write_text("half")
    folder.start(clear=False)
    assert list(folder.path.iterdir()) == []
    assert (tmp_path / "elsewhere").is_dir()


@pytest.mark.parametrize(
    ("name", "content", "read", "message"),
    [
        (CONFIG, "{", RunFolder.load_model, r"config\.json is damaged"),
        (CONFIG, "[1]", RunFolder.config, r"config\.json is damaged: it holds a list"),
        (CONFIG, "{}", RunFolder.config, r"config\.json is not the configuration of a run: data, recipe is missing"),
        (MODEL, "{}", RunFolder.load_model, r"model\.json describes a dict, no model"),
        (BEST, "no weights", RunFolder.load_model, r"The model in .*best\.weights\.h5\) cannot be read"),
        (STATE, "PK\x03\x04 and no more", RunFolder.read_state, r"state\.npz is damaged"),
        (METRICS, "1", RunFolder.metrics, r"metrics\.json is damaged: it holds a int"),
    ],
)
def test_a_damaged_file_is_named(name, content, read, message, tmp_path):
    folder = RunFolder(tmp_path)
    model = tiny_model(size=4)
    folder.write_json(CONFIG, {"data": {}, "recipe": {"select": "best"}})
    folder.write_weights(BEST, model)
    (tmp_path / MODEL).write_text(model.to_json())
    (tmp_path / name).write_text(content)
    with pytest.raises(RunError, match=message):
        read(folder)


def test_other_weights_than_a_run_has_are_an_error(tmp_path):
    folder = RunFolder(tmp_path)
    folder.write_json(CONFIG, {"data": {}, "recipe": {"select": "best"}})
    with pytest.raises(ValueError, match=r"weights must be 'best' or 'last'\. Received: weights='first'"):
        folder.load_model("first")


# ---------------------------------------------------------------- several at a time


def files_of(folder, age):
    """Every file of a finished run, each of which holds its age."""
    folder.path.mkdir(exist_ok=True)
    for name in FILES:
        (folder.path / name).write_text(f'{{"age": "{age}"}}')
    (folder.path / LOGS).mkdir(exist_ok=True)
    (folder.path / "notes.txt").write_text("mine")


def test_a_folder_that_is_in_use_says_by_whom(tmp_path):
    folder = RunFolder(tmp_path / "run")
    said = rf"run is in use by process {os.getpid()} on .*, since .* choose another folder \(out=\)"
    with folder.locked(), pytest.raises(RunError, match=said), RunFolder(folder.path).locked():
        pass
    with folder.locked(), RunFolder(folder.path).locked(needed=False):  # of several processes one holds it
        pass
    assert not folder.path.exists()


def test_a_lock_that_is_a_link_is_not_followed(tmp_path):
    (tmp_path / "mine").write_text("mine")
    (tmp_path / ".lock").symlink_to(tmp_path / "mine")
    with pytest.raises(RunError, match=r"cannot be written: .*\.lock is a symbolic link"), RunFolder(tmp_path).locked():
        pass
    assert (tmp_path / "mine").read_text() == "mine"


@pytest.mark.parametrize("number", range(len(FILES)))
def test_a_run_that_is_removed_by_half_looks_neither_finished_nor_as_if_it_could_go_on_wrongly(
    number, tmp_path, monkeypatch
):
    folder = RunFolder(tmp_path)
    files_of(folder, "old")
    real, removed = Path.unlink, []

    def unlink(path, **options):
        if path.name in FILES and path.exists():
            if len(removed) > number:
                raise KeyboardInterrupt
            removed.append(path.name)
        real(path, **options)

    monkeypatch.setattr(Path, "unlink", unlink)
    if number < len(FILES) - 1:
        with pytest.raises(KeyboardInterrupt):
            folder.start(clear=True)
    else:
        folder.start(clear=True)
    there = {name for name in FILES if (tmp_path / name).exists()}
    assert len(there) == len(FILES) - 1 - number
    assert not folder.finished
    assert not there or CONFIG in there  # a run that was begun: it is not taken for a free folder
    assert STATE not in there or {BEST, LAST} <= there  # else it would go on and never write its best weights
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_what_is_read_is_of_one_run_also_where_another_one_takes_its_place(tmp_path):
    folder = RunFolder(tmp_path)
    files_of(folder, "old")
    ages = iter(["newer", "newest"])

    def read():
        config = (tmp_path / CONFIG).read_text()
        if age := next(ages, None):
            folder.start(clear=True)
            files_of(folder, age)
        return config, (tmp_path / METRICS).read_text()

    assert folder.read_whole(read) == ('{"age": "newest"}', '{"age": "newest"}')


def test_what_goes_while_it_is_read_is_an_error_of_the_run_that_is_there_then(tmp_path):
    folder = RunFolder(tmp_path)
    files_of(folder, "old")
    times = iter(range(10))

    def restart():
        folder.start(clear=True)
        files_of(folder, "new")

    def read():
        if next(times) == 0:
            restart()
            return folder.config()  # an error, but of a run that is gone by now
        return (tmp_path / METRICS).read_text()

    assert folder.read_whole(read) == '{"age": "new"}'
    with pytest.raises(RunError, match="is not the configuration of a run"):
        folder.read_whole(folder.config)
    with pytest.raises(RunError, match="is being written anew"):
        folder.read_whole(restart)
