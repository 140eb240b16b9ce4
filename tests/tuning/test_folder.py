"""A search's folder belongs to one search at a time."""

import json
import os

import pytest
from support.searching import pretend

from kattn.locking import locked_folder
from kattn.tuning import SearchError
from kattn.tuning.plan import Settings


def test_overwriting_starts_anew_and_leaves_other_files(pretended, tmp_path):
    pretend(tmp_path, space={"reduction": [4, 8]})
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="Closest"):
        pretend(tmp_path, space={"reductio": [4]}, overwrite=True)
    assert len(list(tmp_path.glob("trials/*"))) == 2
    assert len(pretend(tmp_path, space={"reduction": [16]}, overwrite=True).trials) == 1
    assert len(list(tmp_path.glob("trials/*"))) == 1 and (tmp_path / "notes.txt").read_text() == "mine"


def test_a_folder_that_is_no_search_is_left_alone(pretended, tmp_path):
    (tmp_path / "trials").mkdir()
    with pytest.raises(SearchError, match=r"no search's folder, but holds trials"):
        pretend(tmp_path)
    (tmp_path / "search.json").write_text("{")
    with pytest.raises(SearchError, match=r"search\.json is damaged"):
        pretend(tmp_path, resume=True)


def test_settings_that_are_not_a_search_s_are_damaged(pretended, tmp_path):
    pretend(tmp_path, space={"reduction": [4]})
    whole = json.loads((tmp_path / "search.json").read_text())
    assert Settings.read(tmp_path / "search.json").as_dict() == whole
    (tmp_path / "search.json").write_text(json.dumps({**whole, "seeds": 1}))
    with pytest.raises(SearchError, match=r"search\.json is damaged: seeds is missing or unknown"):
        Settings.read(tmp_path / "search.json")


def test_two_searches_do_not_share_a_folder(pretended, tmp_path):
    said = rf"in use by process {os.getpid()} on .*, since .*choose another folder \(out=\)"
    with locked_folder(tmp_path / "s"), pytest.raises(SearchError, match=said):
        pretend(tmp_path / "s", overwrite=True)
    pretend(tmp_path / "s", space={"reduction": [4]})
    assert not (tmp_path / "s" / ".lock").exists()


def test_a_lock_that_is_a_link_is_not_followed(pretended, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / ".lock").symlink_to(tmp_path / "mine.txt")
    with pytest.raises(SearchError, match=r"cannot be written: .*\.lock is a symbolic link"):
        pretend(tmp_path / "s")
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_files_are_replaced_and_never_written_through_links(pretended, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    out = tmp_path / "s"
    pretend(out, space={"reduction": [4]})
    for name in ("search.json", "costs.json", "trials.csv", "rejected.csv", "best.json", "pareto.png"):
        (out / name).unlink()
        (out / name).symlink_to(tmp_path / "mine.txt")
    (tmp_path / "folder").mkdir()
    (out / "logs").symlink_to(tmp_path / "folder")
    found = pretend(out, space={"reduction": [4]}, overwrite=True)
    assert (tmp_path / "mine.txt").read_text() == "mine" and found.best["values"] == {"reduction": 4}
    assert not any(path.is_symlink() for path in out.iterdir())
