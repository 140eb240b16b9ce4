import numpy as np
import pytest
from support.training import tiny_model

from kattn.runs.folder import BEST, CONFIG, LOGS, METRICS, MODEL, STATE, RunError, RunFolder


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
