"""KerasTuner's oracles, with a budget: what is over it is never handed out, and so is no trial.

An oracle's errors would leave its lock taken for ever (KerasTuner 1.4.8), and a chief waiting. So nothing is raised in
the middle of a search: a candidate that cannot be costed is handed out, and its trial ends with the error.
"""

from __future__ import annotations

import operator
from typing import Any

from kattn.tuning.plan import Plan

ATTEMPTS = 1000  # draws in a row that are over budget or known: then the space counts as exhausted
TRIALS = 10  # of the strategies that do not end by themselves
RUNNING, STOPPED = "RUNNING", "STOPPED"


class Within:
    """What every oracle here does, in front of one of KerasTuner's (`make_oracle`): hand out what is new and within the
    budget, and score by the whole objective.

    Args:
        plan: The search.
        options: Of the oracle.
    """

    def __init__(self, plan: Plan, **options: Any) -> None:
        self.plan = plan
        super().__init__(**options)

    def welcome(self, values: dict[str, Any]) -> bool:
        """Whether these values may become a trial."""
        candidate = self.plan.space.candidate(values)
        trials = self.trials.values()  # type: ignore[attr-defined]
        if candidate.key in {self.plan.space.candidate(trial.hyperparameters.values).key for trial in trials}:
            return False
        try:
            return self.plan.fits(values)
        except Exception:
            return True  # its trial meets the same error

    def answer(self, values: dict[str, Any] | None) -> dict[str, Any]:
        """What populate_space gives."""
        return {"status": RUNNING if values else STOPPED, "values": values}

    def score_trial(self, trial: Any) -> None:
        """Accuracy and costs in one number."""
        super().score_trial(trial)  # type: ignore[misc]
        costs = self.plan.costs.of(self.plan.space.candidate(trial.hyperparameters.values))
        trial.score = float(self.plan.costs.score(trial.score, costs))

    def _random_values(self) -> dict[str, Any] | None:
        """Where all of KerasTuner's oracles take a new point from: Hyperband notes it in its bracket right away, so
        that a point could not be refused any later."""
        for _ in range(ATTEMPTS):
            values = super()._random_values()  # type: ignore[misc]
            if values is None or self.welcome(values):
                return values
        return None


class Grid(Within):
    """Every candidate that fits, in order. KerasTuner's own grid cannot leave any out."""

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """The next candidate."""
        return self.answer(next((values for values in self.plan.grid if self.welcome(values)), None))


class Random(Within):
    """Random candidates that fit."""


class Bayesian(Within):
    """Candidates that a Gaussian process expects to be good. Where it asks for one that does not fit, or that there
    was, which it would go on asking for, a random one takes its place."""

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """The next candidate."""
        answer = super().populate_space(trial_id)  # type: ignore[misc]
        values = answer["values"]
        return answer if values is None or self.welcome(values) else self.answer(self._random_values())


class Hyperband(Within):
    """Many candidates for a few epochs, the best of them for more."""

    def __init__(self, plan: Plan, max_trials: int | None = None, **options: Any) -> None:
        super().__init__(plan=plan, max_epochs=plan.recipe.epochs, **options)
        self.max_trials = max_trials
        needed = self._get_size(self._get_num_brackets() - 1, 0)  # type: ignore[attr-defined]
        there = plan.space.count()
        if there is not None and there < needed:
            raise ValueError(
                f"hyperband begins with {needed} candidates at {plan.recipe.epochs} epochs; the space has {there}. "
                "Take strategy='grid'."
            )


# Ours, and the name of the class of KerasTuner's behind it.
ORACLES: dict[str, tuple[type[Within], str]] = {
    "grid": (Grid, "Oracle"),
    "random": (Random, "oracles.RandomSearchOracle"),
    "bayesian": (Bayesian, "oracles.BayesianOptimizationOracle"),
    "hyperband": (Hyperband, "oracles.HyperbandOracle"),
}
ENDLESS = ("random", "bayesian")


def make_oracle(plan: Plan) -> Any:
    """The oracle of a search."""
    import keras_tuner

    hp = keras_tuner.HyperParameters()
    plan.space.declare(hp)
    settings = plan.settings
    ours, theirs = ORACLES[settings.strategy]
    oracle = type(f"{ours.__name__}Oracle", (ours, operator.attrgetter(theirs)(keras_tuner)), {})(
        plan=plan,
        objective=keras_tuner.Objective("accuracy", "max"),
        hyperparameters=hp,
        seed=settings.seed + 1,  # KerasTuner takes 0 for no seed
        max_trials=settings.max_trials or (TRIALS if settings.strategy in ENDLESS else None),
    )
    oracle.verbose = 0
    return oracle
