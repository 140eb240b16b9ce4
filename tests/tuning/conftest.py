"""The search that several tests compare with, and trials that are only pretended."""

import keras
import pytest
from support.searching import pretended_costs, pretended_train, search

from kattn.tuning import costs, trials


@pytest.fixture(scope="session")
def straight(tmp_path_factory):
    """A search that is not interrupted: reduction 2 is over budget."""
    return search(tmp_path_factory.mktemp("searches") / "straight")


@pytest.fixture
def pretended(monkeypatch):
    """Nothing is built or trained. Gives (reduction, epochs) of the trials."""
    trained = []
    monkeypatch.setattr(costs.Costs, "_measure", pretended_costs)
    monkeypatch.setattr(trials, "train", pretended_train(trained))
    monkeypatch.setattr(trials.gc, "collect", lambda: None)
    return trained


@pytest.fixture
def no_training(monkeypatch):
    """A test that trains fails."""

    def refuse(*arguments, **options):
        raise AssertionError("training began")

    monkeypatch.setattr(keras.Model, "fit", refuse)
