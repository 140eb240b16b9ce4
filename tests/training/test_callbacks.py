import contextlib
from types import SimpleNamespace

import pytest
from support.runs import SHORT, run

from kattn.training.callbacks import TrainingDiverged, WarnOfGrowth


def test_a_loss_that_is_no_number_stops_with_a_hint_and_is_not_saved(tmp_path):
    with pytest.raises(TrainingDiverged, match=r"The loss became (nan|inf) in epoch 1, step \d+.*lower learning_rate"):
        run(tmp_path / "r", recipe={**SHORT, "learning_rate": 1e6})
    assert not (tmp_path / "r" / "last.weights.h5").exists()


@pytest.mark.parametrize(
    ("before", "losses", "lines"),
    [
        ([], [2.3, 2.0, 2.1, 1.9, 1.8, 9.0], 0),  # noise, and what comes after the first epochs
        ([], [3.8, 5.0, 11.3], 1),
        ([], [2.3, 1.0, 1.2, 1.4], 1),
        ([3.8, 5.0], [11.3], 0),  # a resumed run, where it was said before
        ([3.8], [11.3], 1),
    ],
)
def test_a_loss_that_grows_over_the_first_epochs_is_said_once(before, losses, lines, capsys):
    warn = WarnOfGrowth(SimpleNamespace(rows=[{"loss": loss} for loss in before]))
    warn.on_train_begin()
    for epoch, loss in enumerate(losses, start=len(before)):
        warn.on_epoch_end(epoch, {"loss": loss})
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == lines
    assert all("small_data" in line and "find-rate" in line for line in printed)


def test_a_run_whose_loss_grows_says_so(tmp_path, capsys):
    recipe = {**SHORT, "epochs": 4, "learning_rate": 3.0, "schedule": "constant", "select": "best"}
    with contextlib.suppress(TrainingDiverged):
        run(tmp_path / "r", recipe=recipe, verbose=True)
    assert capsys.readouterr().out.count("The training loss grows") == 1
