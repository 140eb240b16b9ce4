"""Searches that take seconds: the smallest networks, few images, and trials that are only pretended."""

import sys
import time

import keras
import numpy as np

from kattn.runs.folder import RunFolder
from kattn.tuning import tune
from support import TESTS
from support.training import EAGER

SPACE = {"depths": [[1, 1, 1]], "widths": [[8, 8, 16]], "reduction": [2, 4, 8]}
BUDGET = 7_800  # parameters: reduction 2 is over it
OPTIONS = {
    "space": SPACE,
    "budget": {"parameters": BUDGET},
    "limit": 64,
    "validation": 0.3,
    "overrides": {"epochs": 2},
    "verbose": False,
}

# The start of a process of its own that trains without tracing, as the tests' process does.
UNTRACED = f"""
import sys
sys.path.insert(0, {str(TESTS)!r})
import keras
from support.training import EAGER
keras.Model.run_eagerly = EAGER
"""
WORKER = (sys.executable, "-c", UNTRACED + "from kattn.tuning.worker import run\nrun()\n")
# A chief or worker whose trials are pretended; it needs no TensorFlow.
PRETENDING = f"""
import os, sys
os.environ["KERAS_BACKEND"] = "numpy"
sys.path.insert(0, {str(TESTS)!r})
from support.searching import pretended_costs, pretended_train
from kattn.tuning import costs, trials, worker
costs.Costs._measure, trials.train = pretended_costs, pretended_train([], pause=0.5)
trials._callbacks = lambda *given: []
worker.run()
"""
PRETENDED_WORKER = (sys.executable, "-c", PRETENDING)


def search(out, **options):
    """A whole search, whose networks are trained without tracing."""
    usual = keras.Model.run_eagerly
    keras.Model.run_eagerly = EAGER
    try:
        return tune("se_resnet20", out=out, **{**OPTIONS, **options})
    finally:
        keras.Model.run_eagerly = usual


def pretend(out, **options):
    """A search with pretended trials (`pretended`)."""
    given = {"space": {"reduction": list(range(1, 41))}, "overrides": {"epochs": 9}, "limit": 60, "verbose": False}
    return tune("se_resnet20", out=out, **{**given, **options})


def pretended_train(trained, pause=0.0):
    """In place of kattn.train: writes the history of a run; reduction 8 and rate 0.1 are best.

    Args:
        trained: (reduction, epochs) of every call is appended.
        pause: Seconds that an epoch takes.
    """

    def train(model, *, out, recipe, options, callbacks, **_):
        reduction = options.get("reduction", 8)
        rate = abs(np.log10(recipe.learning_rate) + 1)
        accuracy = 0.9 - 0.02 * abs(reduction - 8) - 0.1 * rate - 0.1 / recipe.epochs
        trained.append((reduction, recipe.epochs))
        out.mkdir(parents=True, exist_ok=True)
        rows = [{"epoch": i + 1, "val_accuracy": accuracy - 0.01 * (recipe.epochs - i)} for i in range(recipe.epochs)]
        for i in range(recipe.epochs):
            time.sleep(pause)
            RunFolder(out).write_history(rows[: i + 1])
            for callback in callbacks:
                callback.on_epoch_end(i)

    return train


def pretended_costs(costs, candidate, found):
    """In place of building the network: 1000 / reduction parameters."""
    found |= {"parameters": 1000 / candidate.options.get("reduction", 8), "macs": 7, "int8_bytes": 9}


def same_result(one, other):
    """The same table and the same best, to the letter."""
    for name in ("trials.csv", "rejected.csv", "best.json"):
        assert (one.path / name).read_text() == (other.path / name).read_text()
