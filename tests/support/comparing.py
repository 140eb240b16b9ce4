"""Made-up comparisons: runs that were never trained, as a comparison's folder has them."""

import json
import sys
import time
from types import SimpleNamespace

import numpy as np

from kattn.comparison.entries import Entry
from kattn.comparison.plan import OUTCOME, Plan
from kattn.comparison.settings import FILE, Settings
from kattn.training.recipes import load_recipe
from support import TESTS

# A worker whose runs are pretended; it needs no TensorFlow.
PRETENDING = f"""
import os, sys
os.environ["KERAS_BACKEND"] = "numpy"
sys.path.insert(0, {str(TESTS)!r})
from support.comparing import pretended
from kattn.comparison import jobs, worker
jobs.do_job = pretended
worker.main()
"""
PRETENDED_WORKER = (sys.executable, "-c", PRETENDING)
SECONDS = 0.5  # that a pretended run takes


def made_up_plan(path, values, *, export=(), confidence=0.95, **changes):
    """A comparison whose runs have these accuracies.

    Args:
        path: The comparison's folder.
        values: By label one accuracy a seed; None for a run that diverged, "left" for one that is not over.
        export: As in Settings; an exported file loses 0.001.
        confidence: Of the intervals.
        changes: Other fields of the settings.
    """
    seeds = range(max(map(len, values.values())))
    rng = np.random.default_rng(0)
    fields = {
        "models": [vars(Entry(label, label)) for label in values],
        "seeds": list(seeds),
        "data": "digits",
        "reading": {"limit": None},
        "recipe": "quick",
        "fields": load_recipe("quick").as_dict(),
        "precision": "float32",
        "class_weight": None,
        "threads": 1,
        "export": list(export),
        "confidence": confidence,
        "about": {
            "name": "digits",
            "classes": 10,
            "images": {"train": 1294, "validation": 144, "test": 359},
            "image_shape": [16, 16, 3],
        },
        "costs": {
            label: {"parameters": int(270_000 * (1 + rng.random() / 9)), "macs": int(1e7 * (1 + rng.random() / 5))}
            for label in values
        },
        "backend": "tensorflow",
        "versions": {"kattn": "0.1.0"},
        "imports": [],
    }
    plan = Plan(Settings(**{**fields, **changes}), path, "digits", verbose=False)
    for job in plan.jobs:
        accuracy = values[job.entry.label][job.seed]
        if accuracy != "left":
            finish(plan, job, accuracy)
    return plan


def finish(plan, job, accuracy):
    """Write what a run leaves: its accuracy, None where it diverged."""
    folder = plan.folder(job)
    files = {each: {"metrics": {"top1": (accuracy or 0) - 0.001}} for each in plan.settings.export}
    outcome = {"status": "finished", "epochs": 12, "why": "", "artefacts": files}
    if accuracy is None:
        folder.mkdir(parents=True, exist_ok=True)
        outcome |= {"status": "diverged", "epochs": 3, "why": "The loss became nan in epoch 4.", "artefacts": {}}
    else:
        write_run(folder, accuracy)
    (folder / OUTCOME).write_text(json.dumps(outcome))


def write_run(folder, accuracy):
    """The files of a run that tables are made of."""
    folder.mkdir(parents=True, exist_ok=True)
    metrics = {"top1": accuracy, "loss": 0.1, "calibration_error": 0.01}
    (folder / "config.json").write_text(json.dumps({"data": {}, "recipe": {}}))
    (folder / "metrics.json").write_text(json.dumps(metrics))


def pretended_train(done):
    """In place of kattn.train: the accuracy follows from model and seed. The names of runs go to `done`."""

    def train(model, *, out, seed, **_):
        done.append(out.name)
        write_run(out, pretended_accuracy(out.name, seed))
        return SimpleNamespace(path=out, model=model, history=[{"epoch": 1}])

    return train


def begun(plan):
    """The same comparison, with its settings on the disk as its workers read them."""
    plan.path.mkdir(parents=True, exist_ok=True)
    (plan.path / FILE).write_text(json.dumps(plan.settings.as_dict()))
    return plan


def pretended(plan, job):
    """In place of training: a run whose accuracy follows from its model and seed."""
    print(f"begins {job.name}", flush=True)
    time.sleep(SECONDS)
    finish(plan, job, pretended_accuracy(job.entry.label, job.seed))


def pretended_accuracy(label, seed):
    """The accuracy of a pretended run."""
    return 0.9 + 0.01 * (len(label) % 5) + 0.001 * seed**2
