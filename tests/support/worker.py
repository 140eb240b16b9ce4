"""A process that stays alive and does what it is told when it is told: `worker.py`, a JSON line in, a JSON line out."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

JOBS = {}


def job(function: Any) -> Any:
    JOBS[function.__name__] = function
    return function


@job
def call(words: list[str]) -> None:
    """A command line."""
    from support.commands import run

    run(words)


@job
def prepare(inputs: str) -> None:
    """What the commands read."""
    from support.commands import prepare

    prepare(Path(inputs))


@job
def train(data: str, out: str, seed: int) -> None:
    """The smallest run, in place of what is there."""
    from support.commands import train

    train(Path(data), Path(out), seed=seed, overwrite=True)


@job
def evaluate(run: str) -> dict[str, Any]:
    """The numbers of a run, and the seed that its configuration says."""
    from kattn.evaluation.evaluation import evaluate

    return evaluate(run).to_dict()


@job
def read(run: str) -> dict[str, str]:
    """What a reader finds of a finished run: its files, through the run's own reader."""
    from kattn.training.run import open_run

    found = open_run(run)
    weights = b"".join(weight.tobytes() for weight in found.model.get_weights())
    return {
        "seed": str(found.config["seed"]),
        "history": json.dumps(found.history),
        "accuracy": str(found.evaluation.to_dict()["loss"]),
        "weights": str(hash_of(weights)),
    }


def hash_of(content: bytes) -> str:
    import hashlib

    return hashlib.sha256(content).hexdigest()


@job
def fetch(facts: dict[str, Any], home: str) -> str:
    """Fetch an entry of the manifest; what came."""
    from kattn.zoo.weights.download import fetch
    from kattn.zoo.weights.manifest import Entry

    tuples = {key: tuple(value) if isinstance(value, list) else value for key, value in facts.items()}
    return hash_of(fetch(Entry(**tuples), home).read_bytes())


def main() -> None:
    """Answer lines until there are no more."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    import keras

    from support.training import EAGER

    keras.Model.run_eagerly = EAGER
    for line in sys.stdin:
        told = json.loads(line)
        time.sleep(max(0.0, told["at"] - time.time()))
        started = time.time()
        try:
            answer = {"result": JOBS[told["do"]](**told["with"])}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer | {"from": started, "to": time.time()}) + "\n")
        answers.flush()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    main()
