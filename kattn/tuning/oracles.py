"""KerasTuner's oracles with a budget: candidates over it are never handed out, and so are no trials.

An error inside an oracle would leave its lock taken for ever (KerasTuner 1.4.8), and the chief waiting. So nothing is
raised in the middle of a search: a candidate whose costs cannot be measured is handed out, and its trial ends with the
error.
"""

from __future__ import annotations

from typing import Any

import keras_tuner

from kattn.tuning.plan import Plan

ATTEMPTS = 1000  # draws in a row that are over budget or known: then the space counts as exhausted
TRIALS = 10  # of the strategies that do not end by themselves


class BudgetOracle(keras_tuner.Oracle):
    """What all strategies share: hand out new candidates within the budget, and score by the whole objective.

    Args:
        plan: The search.
        default_trials: How many trials at most, where the search does not say.
        options: Of KerasTuner's oracle.
    """

    def __init__(self, plan: Plan, default_trials: int | None = None, **options: Any) -> None:
        self.plan = plan
        hyperparameters = keras_tuner.HyperParameters()
        plan.space.declare(hyperparameters)
        super().__init__(
            objective=keras_tuner.Objective("accuracy", "max"),
            hyperparameters=hyperparameters,
            seed=plan.settings.seed + 1,  # KerasTuner takes 0 for no seed
            **options,
        )
        self.max_trials = plan.settings.max_trials or default_trials
        self.verbose = 0

    def accepts(self, values: dict[str, Any]) -> bool:
        """Whether these values may become a trial: no trial had them, and they are within the budget."""
        candidate = self.plan.space.candidate(values)
        if candidate.key in {self.plan.space.candidate(t.hyperparameters.values).key for t in self.trials.values()}:
            return False
        try:
            return self.plan.fits(values)
        except Exception:
            return True  # its trial meets the same error

    def score_trial(self, trial: Any) -> None:
        """Accuracy and costs in one number."""
        super().score_trial(trial)
        costs = self.plan.costs.of(self.plan.space.candidate(trial.hyperparameters.values))
        trial.score = float(self.plan.costs.score(trial.score, costs))

    def _random_values(self) -> dict[str, Any] | None:
        """All of KerasTuner's oracles take new points from here. Hyperband notes a point in its bracket right away, so
        that it could not be refused later."""
        for _ in range(ATTEMPTS):
            values = super()._random_values()
            if values is None or self.accepts(values):
                return values
        return None


class GridOracle(BudgetOracle):
    """Every candidate within the budget, in order. KerasTuner's own grid cannot leave any out."""

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """The next candidate."""
        return _answer(next((values for values in self.plan.grid if self.accepts(values)), None))


class RandomOracle(BudgetOracle, keras_tuner.oracles.RandomSearchOracle):
    """Random candidates within the budget."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan, TRIALS)


class BayesianOracle(BudgetOracle, keras_tuner.oracles.BayesianOptimizationOracle):
    """Candidates that a Gaussian process expects to be good.

    A candidate of its that is over budget, or was a trial already, is replaced by a random one: the process would go on
    asking for it.
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan, TRIALS)

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """The next candidate."""
        answer = super().populate_space(trial_id)
        values = answer["values"]
        return answer if values is None or self.accepts(values) else _answer(self._random_values())


class HyperbandOracle(BudgetOracle, keras_tuner.oracles.HyperbandOracle):
    """Many candidates for a few epochs, the best of them for more.

    Raises: ValueError for a space that is too small for the first round.
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan, max_epochs=plan.recipe.epochs)
        needed = self._get_size(self._get_num_brackets() - 1, 0)
        there = plan.space.count()
        if there is not None and there < needed:
            raise ValueError(
                f"hyperband begins with {needed} candidates at {plan.recipe.epochs} epochs; the space has {there}. "
                "Take strategy='grid'."
            )


ORACLES = {"grid": GridOracle, "random": RandomOracle, "bayesian": BayesianOracle, "hyperband": HyperbandOracle}


def _answer(values: dict[str, Any] | None) -> dict[str, Any]:
    """What populate_space returns for a candidate, or where there is none left."""
    return {"status": "RUNNING" if values else "STOPPED", "values": values}
