"""Trials that fail end the search with their error; trials that diverge are a result."""

import pytest
from support.searching import pretend

from kattn.training.callbacks import TrainingDiverged
from kattn.tuning import SearchError, trials


def test_trials_that_fail_stop_the_search_and_those_before_are_kept(pretended, tmp_path, monkeypatch):
    usual = trials.train

    def failing(model, *, options, **others):
        if options["reduction"] == 8:
            raise ValueError("no such luck.")
        usual(model, options=options, **others)

    monkeypatch.setattr(trials, "train", failing)
    options = {"space": {"reduction": [4, 8, 16]}}
    with pytest.raises(
        SearchError, match=r"The trial reduction=8 failed: no such luck\. .*resume=True goes on"
    ) as told:
        pretend(tmp_path / "s", **options)
    assert isinstance(told.value.__cause__, ValueError)
    monkeypatch.setattr(trials, "train", usual)
    assert len(pretend(tmp_path / "s", resume=True, **options).trials) == 3
    assert [reduction for reduction, _ in pretended] == [4, 8, 16]


def test_a_diverged_trial_is_a_bad_result(pretended, tmp_path, monkeypatch):
    usual = trials.train

    def diverging(model, *, options, out, **others):
        if options["reduction"] == 8:
            out.mkdir()
            raise TrainingDiverged("The loss became nan.")
        usual(model, options=options, out=out, **others)

    monkeypatch.setattr(trials, "train", diverging)
    found = pretend(tmp_path / "s", space={"reduction": [4, 8, 16]})
    assert [row["status"] for row in found.trials] == ["completed", "diverged", "completed"]
    assert found.trials[1]["accuracy"] == 0 and found.best["values"] == {"reduction": 4}
