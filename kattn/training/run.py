"""`kattn.train`: a recipe, data and a network in; a trained, evaluated and documented run out."""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kattn.data.dataset import Dataset
from kattn.data.loading import spec_of
from kattn.data.splits import NAME
from kattn.evaluation.evaluation import evaluate
from kattn.evaluation.kinds import AnyEvaluation, from_dict
from kattn.facts.pixels import converted
from kattn.facts.stated import Stated
from kattn.files import counted
from kattn.graph.inside import count_parameters
from kattn.runs.data import images_of
from kattn.runs.folder import CONFIG, METRICS, MODEL, WEIGHTS, RunError, RunFolder, without_optimizer
from kattn.training.choosing import AUTO
from kattn.training.devices import Devices, devices_for
from kattn.training.fitting import fit
from kattn.training.images import facts_of, needs_conversion
from kattn.training.kinds import class_weights
from kattn.training.preparing import check_task, load_task
from kattn.training.recipes import Recipe, load_recipe
from kattn.training.settings import NUMERICS, as_json, check_same, default_folder, recorded_options, split_by
from kattn.training.tensorboard import check_tensorboard
from kattn.version import versions

log = logging.getLogger("kattn")

PACKAGES = ("keras", "tensorflow", "jax", "torch", "numpy")  # whose versions config.json names


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        path: Its folder (see kattn.runs.folder for the files).
        model: The Keras model with the weights that were evaluated.
        evaluation: On the test images.
        history: One mapping an epoch, as in history.csv.
        config: As in config.json.
    """

    path: Path
    model: Any
    evaluation: AnyEvaluation
    history: list[dict[str, float]]
    config: dict[str, Any]


def train(
    model: Any,
    *,
    data: Any = "digits",
    recipe: str | Path | Mapping[str, Any] | Recipe = "quick",
    out: str | Path | None = None,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
    overrides: Mapping[str, Any] | None = None,
    image_size: int | tuple[int, int] | None = None,
    validation: float = 0.1,
    split_seed: int = 0,
    limit: int | None = None,
    on_error: str = "raise",
    data_dir: str | Path | None = None,
    cache: bool | None = None,
    class_weight: str | Mapping[Any, float] | None = None,
    precision: str = "float32",
    devices: str | int | None = None,
    callbacks: Sequence[Any] = (),
    tensorboard: bool = False,
    resume: bool = False,
    overwrite: bool = False,
    verbose: bool = True,
    value_range: tuple[float, float] | None = None,
    preprocess: Callable[[Any], Any] | None = None,
    resize: str | None = None,
    interpolation: str | None = None,
    labels: Sequence[str] | str | Path | None = None,
) -> Run:
    """Train a network by a recipe, evaluate it on held-out images, and write everything to a folder.

    A run that was stopped (Ctrl-C, a crash, kill -9) is continued by the same call with resume=True, with the same
    result as if it had not been stopped. The same call with the same seed on the same machine gives the same run.

    Args:
        model: A name of the zoo ("afi_resnet20"), or a functional Keras model (compiled here). It takes raw pixels
            where neither its first layers nor `value_range` say otherwise. Its last operation says what it is trained
            for: softmax for classes, one sigmoid unit for yes or no, several for attributes, a linear layer for values
            (or for classes, where the labels are class numbers), a softmax over maps for the class of every pixel.
        data: "digits", a TFDS name, a folder of images, arrays: see kattn.data.load, also for image_size, validation,
            split_seed, limit, on_error, data_dir and cache.
        recipe: A committed recipe's name, the path of a .toml file, a mapping or a kattn.training.Recipe. "auto" takes
            "finetune" where options have weights, "small_data" for fewer than 1000 training images, else "quick".
        out: The run's folder; None is runs/<model>-<data>-<recipe>-<seed>.
        seed: Of the initial weights, the order of the images, augmentation and dropout. The splits do not depend on it.
        options: For a name: passed on to kattn.zoo.create, such as {"reduction": 8} or {"weights": "cifar10"}.
        overrides: Fields of the recipe to replace, such as {"epochs": 3}.
        class_weight: What images of each class count in the loss: "balanced", so that all classes count the same in sum
            (see kattn.training.class_weights), or a mapping from class names or numbers to weights. Any model of
            classes takes it, maps too; the metrics and the loss of the validation are those without weights.
        precision: "float32", or "mixed_bfloat16" or "mixed_float16" where the processor is faster at these: weights and
            answers stay float32. For a name of the zoo only; a Keras model has its own.
        devices: None for one, "all" or a number of this host's, "hosts" for those of several processes (JAX; see
            kattn.training.devices_for for what to set). The batch size stays the recipe's and is split evenly;
            validation leaves out the images that cannot be split evenly. Process 0 writes the run; the others need to
            see its folder.
        callbacks: Further Keras callbacks.
        tensorboard: Write the curves for TensorBoard too, on every backend: `tensorboard --logdir` with the run's
            folder, or with the folder of several runs, shows them. A resumed run goes on with its curves.
        resume: Go on with a run of the same settings in `out`, or start it where there is none. A finished run is
            returned as it is.
        overwrite: Start anew in a folder that holds a run. Its files are removed once everything else has been checked.
            No two calls train in one folder at a time: the second one is refused, with resume and overwrite too.
        verbose: Print what is trained on what, one line an epoch, and the result.
        value_range, preprocess: What a Keras model takes for 8-bit images; see `kattn.facts.stated.Stated`. Arrays of
            other numbers than bytes are taken as they are.
        resize, interpolation: How pictures are brought to the model's size. Default: "crop", "bicubic".
        labels: Names of the classes, of data that have none: a list, or a text file with one a line.
            All five are recorded in the run's folder, and used by whatever opens it.

    Returns: The Run.
    Raises: Before any training: DevicesError for devices that cannot be used; RunError for a folder that cannot be
        written, that another process trains in, or that holds a run and neither resume nor overwrite was given;
        DataError (a ValueError) for data that do not fit; ValueError for unknown names, options and recipes. During
        training: TrainingDiverged when the loss becomes NaN; RunError when the disk is full; ProcessLost (a
        DevicesError) when another process is gone.
    """
    used = devices_for(devices)  # first of all: several processes have to meet before anything is computed
    if recipe != AUTO:
        used.check(load_recipe(recipe, overrides).batch_size)
    if tensorboard:
        check_tensorboard()
    stated = Stated(value_range, preprocess, resize, interpolation, labels)
    name, _ = check_task(model, options, precision, stated)
    settings: dict[str, Any] = {"image_size": image_size, "validation": validation, "split_seed": split_seed}
    settings |= {"data_dir": None if data_dir is None else str(data_dir), "on_error": on_error, "split_by": NAME}
    load = functools.partial(
        load_task, model, data, options, stated, settings, precision=precision, limit=limit, cache=cache
    )
    # Where the data decide the recipe, its name is part of the default folder's.
    task = load() if recipe == AUTO and out is None else None
    why = ""
    if task:
        recipe, _, why = task.recipe(recipe, overrides)
    folder = RunFolder(out or default_folder(name, data, recipe, seed))
    used.wait("begin")
    with folder.locked(used.writes):
        folder.check(resume=resume, overwrite=overwrite)
        used.wait("checked")
        by = split_by(folder) if resume and folder.started else NAME
        if task is None or by != settings["split_by"]:
            settings["split_by"] = by
            task = load()
        recipe, chosen, reason = task.recipe(recipe, overrides)
        why = why or reason
        used.check(chosen.batch_size)
        dataset, given = task.dataset, task.given
        counts = class_weights(class_weight, dataset)
        config = {
            "model": name,
            "options": recorded_options(task.options),
            "data": {"spec": spec_of(data), "settings": as_json(settings), "limit": limit, **dataset.describe()},
            "recipe": {"name": recipe if isinstance(recipe, str) else "own", **chosen.as_dict()},
            "class_weight": counts,
            "seed": seed,
            "precision": precision,
            "numerics": NUMERICS,
            "backend": keras.backend.backend(),
            "versions": versions(PACKAGES),
            "facts": facts_of(given),
        }
        if resume and folder.started:
            check_same(folder, config)
            if folder.finished:
                log.info("%s is finished; nothing to resume", folder.path)
                if used.writes:
                    folder.remove_state()  # of a run that was stopped between its last file and this
                return open_run(folder.path)
        weights = None if counts is None else np.array(list(counts.values()), "float32")
        network, row, kinds = task.build(chosen, seed, precision, str(folder.path))
        config["facts"]["kinds"] = kinds
        verbose = verbose and used.writes
        if used.writes:
            folder.start(clear=overwrite and not resume)  # only now: a mistake in the call leaves everything as it was
            folder.write_json(CONFIG, config)
            if known_images := images_of(dataset):
                folder.write_images(known_images)
            folder.write_json(MODEL, json.loads(network.to_json()))
        used.wait("started")
        if verbose:
            _announce(network, name, dataset, chosen, folder, used)
            if why:
                print(f"recipe {recipe}: {why} (recipe= or --recipe takes another)", flush=True)
        feed = functools.partial(converted, given=given, model=name) if needs_conversion(given) else None
        with used.naming_lost_processes(), used.training(network) as trained:
            logs = tensorboard and used.writes
            fit(trained, dataset, chosen, folder, seed, used, callbacks, logs, verbose, feed, row, weights)
        used.wait("trained")
        without_optimizer(network).load_weights(folder.path / WEIGHTS[chosen.select])
        evaluation = evaluate(network, dataset)
        if used.writes:
            folder.write_model(network)
            folder.write_json(METRICS, evaluation.to_dict())
            folder.remove_state()
        used.wait("evaluated")
        if verbose:
            print(f"{evaluation}\nsaved in {folder.path}", flush=True)
        return Run(folder.path, network, evaluation, folder.history(), config)


def open_run(path: str | Path) -> Run:
    """A finished run from its folder.

    Returns: The Run, with the weights that were evaluated.
    Raises: RunError where it is not finished.
    """
    folder = RunFolder(path)

    def read() -> Run:
        if not folder.finished:
            raise RunError(f"{folder.path} holds no finished run.")
        config, metrics = folder.config(), folder.metrics()
        try:
            evaluation = from_dict(metrics)
        except TypeError as error:
            raise RunError(f"{folder.path / METRICS} is damaged: {error}.") from error
        return Run(folder.path, folder.load_model(), evaluation, folder.history(), config)

    return folder.read_whole(read)


def _announce(network: Any, name: str, dataset: Dataset, recipe: Recipe, folder: RunFolder, used: Devices) -> None:
    shared = "" if used.count == 1 else f", {used.count} devices"
    learned = count_parameters(network)
    statistics = network.count_params() - learned
    size = f"{learned:,} parameters" + (f" and {statistics:,} statistics of normalisation" if statistics else "")
    print(f"{name}, {size}, on the {keras.backend.backend()} backend{shared}")
    print(dataset)
    done = f", {len(rows)} done" if (rows := folder.history()) else ""
    steps = counted(max(1, len(dataset.train) // recipe.batch_size), "step")
    print(f"{counted(recipe.epochs, 'epoch')} of {steps}{done}", flush=True)
