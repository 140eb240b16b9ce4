"""Damaged files for every reader: mutations by seed, the table of readers, and the loop over both.

`python -m support.fuzzing READER FIRST COUNT FOLDER` works through many tries in a process of its own, which a reader
may end: it prints a line before each try and one for what came of it.
"""

from __future__ import annotations

import faulthandler
import json
import os
import random
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support import fuzzed_models as models
from support import fuzzed_runs as runs
from support.mutations import bytes_mutated, json_mutated, json_or_bytes_mutated, text_mutated, zip_mutated

SECONDS = 10.0  # of one try
MEGABYTES = 1024  # that all tries together may add to the process


@dataclass(frozen=True)
class Reader:
    """A reader of files.

    Attributes:
        make: Writes good files into a folder; gives the path that is read, and the files that are damaged by turns.
        read: Reads the path; what it gives does not matter.
        errors: The errors that it documents, as "module:name"; all others are findings.
        mutate: What beside bytes is damaged: half of the tries.
    """

    make: Callable[[Path], tuple[Path, list[Path]]]
    read: Callable[[Path], Any]
    errors: tuple[str, ...] = ("builtins:ValueError",)
    mutate: Callable[[bytes, random.Random], bytes] = bytes_mutated


RUN, DATA, EXPORT = "kattn.runs.errors:RunError", "kattn.data.errors:DataError", "kattn.export.errors:ExportInputError"
SEARCH, HDF5, NPZ = "kattn.tuning.records:SearchError", "kattn.hdf5:UnreadableFile", "kattn.npz:UnreadableNpz"
PLAIN = "builtins:ValueError"
MISMATCH, OTHER = "kattn.zoo.weights.pairing:Mismatch", "kattn.zoo.weights.agreement:OtherNetwork"
READERS: dict[str, Reader] = {
    "images": Reader(models.make_images, models.read_image_file, (DATA,)),
    "npz": Reader(models.make_npz, models.read_tensors, (NPZ,), zip_mutated),
    "safetensors": Reader(models.make_safetensors, models.read_tensors),
    "torch": Reader(models.make_torch, models.read_tensors, mutate=zip_mutated),
    "h5": Reader(models.make_h5, models.read_tensors, (PLAIN, HDF5)),
    "weights.h5": Reader(models.make_weights, models.read_weights, (PLAIN, HDF5, MISMATCH, OTHER)),
    "keras": Reader(models.make_keras, models.read_keras_file, (EXPORT,), zip_mutated),
    "tflite": Reader(models.make_tflite, models.run_artefact, (EXPORT, PLAIN)),
    "onnx": Reader(models.make_onnx, models.run_artefact, (EXPORT, PLAIN)),
    "facts": Reader(models.make_facts, models.describe, (EXPORT, PLAIN), json_mutated),
    "saved_model": Reader(models.make_saved_model, models.run_artefact, (EXPORT, PLAIN)),
    "toml": Reader(runs.make_recipe, runs.read_recipe, mutate=text_mutated),
    "config.json": Reader(runs.make_run("CONFIG"), runs.read_config, (RUN, DATA), json_mutated),
    "metrics.json": Reader(runs.make_run("METRICS"), runs.read_run, (RUN,), json_mutated),
    "model.json": Reader(runs.make_run("MODEL", "BEST"), runs.read_run_model, (RUN,), json_or_bytes_mutated),
    "history.csv": Reader(runs.make_run("HISTORY"), runs.read_history, (RUN,), text_mutated),
    "images.npz": Reader(runs.make_run("IMAGES"), runs.read_images, (RUN,), zip_mutated),
    "state.npz": Reader(runs.make_run("STATE"), runs.read_state, (RUN,), zip_mutated),
    "best.json": Reader(runs.make_best, runs.read_best_file, mutate=json_mutated),
    "trial.json": Reader(runs.make_trials, runs.read_trial_records, (SEARCH,), json_mutated),
    "report.json": Reader(runs.make_report, runs.read_report, mutate=json_mutated),
    "tfrecord": Reader(runs.make_tfds, runs.read_tfds, (DATA,), json_or_bytes_mutated),
}


@dataclass
class Outcome:
    """What came of tries.

    Attributes:
        counts: Results and errors by kind.
        findings: What should not have been: the try, and what happened.
        megabytes: By how much the process grew.
    """

    counts: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    megabytes: float = 0.0


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def tries(name: str, first: int, count: int, folder: Path, *, alone: bool = False) -> Outcome:
    """Damage files and read them.

    Args:
        name: Of the reader.
        first, count: Of the tries; the number of a try is its seed.
        folder: An empty one; all files lie below.
        alone: In a process of its own, which ends where a try takes too long, and prints how far it is.
    """
    reader, outcome = READERS[name], Outcome()
    terminal = os.dup(2) if alone else 2  # readers may redirect the error stream
    work = folder / "work"
    work.mkdir(parents=True, exist_ok=True)
    path, files = reader.make(work)
    whole = {file: file.read_bytes() for file in files}
    reader.read(path)  # all is well, and everything is imported
    before, names = peak(), _names(folder)
    for seed in range(first, first + count):
        rng = random.Random(f"{name} {seed}")
        target = rng.choice(files)
        mutate = reader.mutate if rng.random() < 0.5 else bytes_mutated
        target.write_bytes(mutate(whole[target], rng))
        read = path if path not in whole else target
        if alone:
            print("try", seed, flush=True)
            faulthandler.dump_traceback_later(SECONDS, exit=True, file=terminal)
        start = time.monotonic()
        try:
            reader.read(read)
            outcome.counts["read"] += 1
        except Exception as error:
            kind = f"{type(error).__module__}:{type(error).__name__}"
            outcome.counts[type(error).__name__] += 1
            if kind not in reader.errors:
                outcome.findings.append(f"{name} {seed}: bare {kind}: {str(error)[:200]}")
        if (taken := time.monotonic() - start) > SECONDS:
            outcome.findings.append(f"{name} {seed}: {taken:.0f} s")
        target.write_bytes(whole[target])
        if (found := peak() - before) > MEGABYTES and outcome.megabytes <= MEGABYTES:
            outcome.findings.append(f"{name} {seed}: {found:.0f} MB")
        outcome.megabytes = max(outcome.megabytes, found)
        if alone:
            faulthandler.cancel_dump_traceback_later()
    if new := _names(folder) - names:
        outcome.findings.append(f"{name}: wrote {sorted(new)[:5]}")
    return outcome


def _names(folder: Path) -> set[str]:
    return {str(path) for path in folder.rglob("*")}


def tries_apart(name: str, first: int, count: int, folder: Path, *, most_deaths: int = 20) -> Outcome:
    """The same in processes of their own: one that dies or hangs is a finding, and the next one goes on behind it."""
    total, end = Outcome(), first + count
    while first < end:
        inner = folder / f"from{first}"
        inner.mkdir(parents=True)
        command = [sys.executable, "-m", "support.fuzzing", name, str(first), str(end - first), str(inner)]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(inner), "HOME": str(inner)}
        with open(folder / "stderr", "w+") as errors:
            done = subprocess.run(
                command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment, cwd=inner, check=False
            )
            errors.seek(0)
            said = errors.read()
        lines = done.stdout.splitlines()
        if done.returncode == 0:
            result = json.loads(lines[-1])
            total.counts.update(result["counts"])
            total.findings += result["findings"]
            total.megabytes = max(total.megabytes, result["megabytes"])
            break
        last = [int(line.split()[1]) for line in lines if line.startswith("try ")]
        if not last:
            raise RuntimeError(f"{name}: the tries did not begin: {said[-2000:]}")
        kind = "hung" if "Timeout (" in said else f"ended the process ({done.returncode})"
        total.counts[kind] += 1
        total.counts["before that"] += last[-1] - first
        total.findings.append(f"{name} {last[-1]}: {kind}: {said[-600:]}")
        first = last[-1] + 1
        if len(total.findings) >= most_deaths:
            break
    return total


if __name__ == "__main__":
    found = tries(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]), alone=True)
    print(json.dumps({"counts": found.counts, "findings": found.findings, "megabytes": found.megabytes}), flush=True)
    os._exit(0)
