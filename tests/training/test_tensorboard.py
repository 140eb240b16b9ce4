import importlib.util

import pytest
from support.runs import SHORT, interrupt, run, same_result, shown_by_tensorboard, shows_every_epoch_once

from kattn.runs.folder import RunFolder


@pytest.mark.slow
def test_tensorboard_shows_every_epoch_once_also_of_a_run_that_was_killed(straight, stopped, monkeypatch):
    # The stopped run has no logs: they begin with what there is.
    write = RunFolder.write_state
    with monkeypatch.context() as patch:
        patch.setattr(
            RunFolder, "write_state", lambda self, rows: (interrupt if len(self.history()) > 2 else write)(self, rows)
        )
        with pytest.raises(KeyboardInterrupt):
            run(stopped, tensorboard=True, resume=True)
    assert [step for step, _ in shown_by_tensorboard(stopped)["train/loss"]] == [1, 2, 3]  # 3 is not saved
    same_result(straight, run(stopped, tensorboard=True, resume=True))
    shows_every_epoch_once(stopped)
    run(stopped, recipe=SHORT, overwrite=True)
    assert not (stopped / "tensorboard").exists()


def test_tensorboard_that_is_not_installed_is_one_clear_error(tmp_path, monkeypatch, no_training):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install tensorboard"):
        run(tmp_path / "r", tensorboard=True)
    assert not (tmp_path / "r").exists()
