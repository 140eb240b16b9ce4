"""Every strategy keeps to the budget, repeats itself and finds the best, on pretended trials."""

import numpy as np
import pytest
from support.searching import pretend, same_result

from kattn.tuning.oracles import ORACLES
from kattn.tuning.plan import STRATEGIES


def test_every_strategy_has_its_oracle():
    assert tuple(ORACLES) == STRATEGIES


@pytest.mark.parametrize(("strategy", "count"), [("random", 12), ("bayesian", 5), ("hyperband", 12)])
def test_every_strategy_keeps_to_the_budget_and_repeats_itself(strategy, count, pretended, tmp_path):
    options = {"strategy": strategy, "budget": {"parameters": 250}, "max_trials": count}
    found = pretend(tmp_path / "one", **options)
    assert len(found.trials) == count
    assert all(row["reduction"] >= 4 and row["parameters"] <= 250 for row in found.trials)
    assert {row["reduction"] for row in found.rejected} <= {1, 2, 3}
    assert len({(row["reduction"], row["epochs"]) for row in found.trials}) == count
    trained = len(pretended)
    same_result(found, pretend(tmp_path / "two", **options))
    assert pretended[:trained] == pretended[trained:]
    same_result(found, pretend(tmp_path / "two", resume=True, **options))
    assert len(pretended) == 2 * trained  # what is over is not trained again
    other = pretend(tmp_path / "other", seed=1, **options)
    assert [row["reduction"] for row in other.trials] != [row["reduction"] for row in found.trials]


def test_the_gaussian_process_goes_where_the_best_is(pretended, tmp_path):
    rate = {"recipe.learning_rate": {"low": 0.001, "high": 1.0, "log": True}}
    found = pretend(tmp_path / "s", strategy="bayesian", space=rate, max_trials=8)
    assert len(found.trials) == 8
    assert abs(np.log10(found.best["values"]["recipe.learning_rate"]) + 1) < 0.1


def test_hyperband_gives_the_best_all_epochs(pretended, tmp_path):
    found = pretend(tmp_path / "s", strategy="hyperband")
    assert {epochs for _, epochs in pretended} == {1, 3, 9}
    assert found.best["recipe"]["epochs"] == 9
    with pytest.raises(ValueError, match=r"hyperband begins with \d+ candidates at 9 epochs; the space has 4"):
        pretend(tmp_path / "small", strategy="hyperband", space={"reduction": [2, 4, 8, 16]})
    assert not (tmp_path / "small").exists()
