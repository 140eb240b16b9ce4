"""`kattn.train`: a recipe, data and a network in; a trained, evaluated and documented run out."""

from __future__ import annotations

import dataclasses
import json
import logging
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import keras

from kattn.data.augment import Augment, Mix
from kattn.data.batches import Batches
from kattn.data.dataset import Dataset
from kattn.data.errors import DataError
from kattn.data.loading import load, source_names
from kattn.evaluation.evaluation import AttributeEvaluation, Evaluation, evaluate, from_dict
from kattn.graph.outputs import class_count, main_output, targets_for
from kattn.runs.folder import BEST, CONFIG, LAST, LOGS, METRICS, MODEL, STATE, RunError, RunFolder, bare
from kattn.training.callbacks import Epoch, Progress, Saver, StopOnNaN
from kattn.training.devices import Devices, devices_for
from kattn.training.optimizers import SGD, AdamW
from kattn.training.recipes import Recipe, load_recipe
from kattn.training.schedules import Schedule
from kattn.training.tensorboard import TensorBoardLog, check_tensorboard

log = logging.getLogger("kattn")

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
PACKAGES = ("kattn", "keras", "tensorflow", "jax", "torch", "numpy")


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        path: Its folder (see kattn.run_folder for the files).
        model: The Keras model with the weights that were evaluated.
        evaluation: On the test images.
        history: One mapping an epoch, as in history.csv.
        config: As in config.json.
    """

    path: Path
    model: Any
    evaluation: Evaluation | AttributeEvaluation
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
    precision: str = "float32",
    devices: str | int | None = None,
    callbacks: Sequence[Any] = (),
    tensorboard: bool = False,
    resume: bool = False,
    overwrite: bool = False,
    verbose: bool = True,
) -> Run:
    """Train a network by a recipe, evaluate it on held-out images, and write everything to a folder.

    A run that was stopped (Ctrl-C, a crash, kill -9) is continued by the same call with resume=True, with the same
    result as if it had not been stopped. The same call with the same seed on the same machine gives the same run.

    Args:
        model: A name of the zoo ("afi_resnet20"), or a functional Keras model that takes raw pixels (compiled here).
        data: "digits", a TFDS name, a folder of images, arrays: see kattn.data.load, also for image_size, validation,
            split_seed, limit, on_error, data_dir and cache.
        recipe: A committed recipe's name, the path of a .toml file, a mapping or a kattn.training.Recipe.
        out: The run's folder; None is runs/<model>-<data>-<recipe>-<seed>.
        seed: Of the initial weights, the order of the images, augmentation and dropout. The splits do not depend on it.
        options: For a name: passed on to kattn.zoo.create, such as {"reduction": 8} or {"weights": "cifar10"}.
        overrides: Fields of the recipe to replace, such as {"epochs": 3}.
        precision: "float32", or "mixed_bfloat16" or "mixed_float16" where the processor is faster at these: weights and
            answers stay float32. Goes with a name; a model that is there has its own.
        devices: None for one, "all" or a number of this host's, "hosts" for those of several processes (JAX; see
            kattn.training.devices_for for what to set). The batch size stays the recipe's, split evenly; validation
            leaves out the images that do not. Process 0 writes the run; the others need to see its folder.
        callbacks: Further Keras callbacks.
        tensorboard: Write the curves for TensorBoard too, on every backend: `tensorboard --logdir` with the run's
            folder, or with the folder of several runs, shows them. A resumed run goes on with its curves.
        resume: Go on with a run of the same settings in `out`, or start it where there is none. A finished run is
            returned as it is.
        overwrite: Start anew in a folder that holds a run. Its files are removed once everything else has been checked.
        verbose: Print what is trained on what, one line an epoch, and the result.

    Returns: The Run.
    Raises: DevicesError for devices that cannot be used, or a process that is gone; RunError for a folder that cannot
        be written, or that holds a run and neither resume nor overwrite was said; DataError (a ValueError) for data
        that do not fit; ValueError for unknown names, options and recipes; TrainingDiverged when the loss becomes NaN.
        All but the last, and a lost process, before any training.
    """
    spread = devices_for(devices)  # first of all: several processes have to meet before anything is computed
    chosen = load_recipe(recipe, overrides)
    spread.check(chosen.batch_size)
    if tensorboard:
        check_tensorboard()
    name, options = _named(model, options, precision)
    folder = RunFolder(out or Path("runs") / _run_name(name, data, recipe, seed))
    spread.wait("begin")
    folder.check(resume=resume, overwrite=overwrite, probe=spread.writes)
    spread.wait("checked")
    settings: dict[str, Any] = {"image_size": image_size, "validation": validation, "split_seed": split_seed}
    settings |= {"data_dir": None if data_dir is None else str(data_dir), "on_error": on_error}
    dataset = _load(model, data, options, settings, limit, cache)
    config = _config(name, options, dataset, _spec(data), settings, limit, chosen, recipe, seed, precision)
    if resume and folder.started:
        _same_or_raise(folder, config)
        if folder.finished:
            log.info("%s is finished; nothing to resume", folder.path)
            return open_run(folder.path)
    keras.utils.set_random_seed(seed)
    network = _network(model, options, dataset, precision)
    verbose = verbose and spread.writes
    if spread.writes:
        folder.start(clear=overwrite and not resume)  # only now: a mistake in the call leaves everything as it was
        folder.write_json(CONFIG, config)
        folder.write_json(MODEL, json.loads(network.to_json()))
    spread.wait("started")
    if verbose:
        _announce(network, name, dataset, chosen, folder, spread)
    with spread.losing(), spread.training(network) as trained:
        _fit(trained, dataset, chosen, folder, seed, callbacks, tensorboard and spread.writes, verbose, spread)
    spread.wait("trained")
    _load_selected(network, chosen, folder)
    evaluation = evaluate(network, dataset)
    if spread.writes:
        folder.write_model(network)
        folder.write_json(METRICS, evaluation.to_dict())
        (folder.path / STATE).unlink(missing_ok=True)
    spread.wait("evaluated")
    if verbose:
        print(f"{evaluation}\nsaved in {folder.path}", flush=True)
    return Run(folder.path, network, evaluation, folder.history(), config)


def open_run(path: str | Path) -> Run:
    """A finished run from its folder. Raises RunError where it is not finished."""
    folder = RunFolder(path)
    if not folder.finished:
        raise RunError(f"{folder.path} holds no finished run.")
    return Run(folder.path, folder.load_model(), from_dict(folder.metrics()), folder.history(), folder.config())


def compile_for(model: Any, recipe: Recipe, steps: int, multi_label: bool = False) -> None:
    """Compile a model as the recipe says; every classification output gets the loss and counts alike.

    Args:
        model: A Keras model.
        recipe: The recipe.
        steps: Steps an epoch.
        multi_label: The outputs are attributes, each with a probability of its own.
    """
    per_output = targets_for(model)
    kinds = {
        "attributes": (keras.losses.BinaryCrossentropy, keras.metrics.BinaryAccuracy),
        "soft": (keras.losses.CategoricalCrossentropy, keras.metrics.CategoricalAccuracy),
        "classes": (keras.losses.SparseCategoricalCrossentropy, keras.metrics.SparseCategoricalAccuracy),
    }
    loss, metric = kinds["attributes" if multi_label else "soft" if needs_soft_targets(recipe) else "classes"]
    outputs = per_output(None) or [None]
    losses = {name: loss() for name in outputs}
    metrics = {name: [metric(name="accuracy")] for name in outputs}
    single = None in losses
    model.compile(
        optimizer=build_optimizer(recipe, steps, _head_paths(model) if recipe.body_rate != 1.0 else ()),
        loss=losses[None] if single else losses,
        metrics=metrics[None] if single else metrics,
    )
    model.optimizer.build(model.trainable_variables)  # else TensorFlow traces the first step twice


def build_optimizer(recipe: Recipe, steps: int, head: Sequence[str] = ()) -> Any:
    """The recipe's optimizer and schedule for so many steps an epoch; `head`: paths of the variables at full rate."""
    total = recipe.epochs * steps
    schedule = Schedule(
        peak=recipe.peak,
        steps=total,
        kind=recipe.schedule,
        warmup=min(round(recipe.warmup_epochs * steps), total - 1),
        milestones=tuple(round(share * recipe.epochs) * steps for share in recipe.milestones),
        factor=recipe.factor,
        floor=recipe.floor,
    )
    common: dict[str, Any] = {"learning_rate": schedule, "decay_all": recipe.decay_all}
    if recipe.clip_norm:
        common["global_clipnorm"] = recipe.clip_norm
    if recipe.accumulate > 1:
        common["gradient_accumulation_steps"] = recipe.accumulate
    if recipe.ema:
        common |= {"use_ema": True, "ema_momentum": recipe.ema}
    if recipe.optimizer == "adamw":
        return AdamW(weight_decay=recipe.weight_decay, **common)
    return SGD(
        momentum=recipe.momentum,
        nesterov=recipe.nesterov,
        l2=recipe.weight_decay,
        head=head,
        body_rate=recipe.body_rate,
        **common,
    )


def needs_soft_targets(recipe: Recipe) -> bool:
    """Whether the targets are rows of probabilities rather than class numbers."""
    return bool(recipe.label_smoothing or recipe.mixup or recipe.cutmix)


def batches_for(
    model: Any, dataset: Dataset, recipe: Recipe, seed: int, spread: Devices | None = None
) -> tuple[Batches, Batches | None]:
    """Training and validation batches as the recipe says; None where there are no validation images."""
    spread = spread or Devices()
    shared: dict[str, Any] = {"part": (spread.rank, spread.ranks), "devices": spread.count}
    classes = len(dataset.class_names) if needs_soft_targets(recipe) else None
    augment = Augment(
        crop=recipe.crop,
        shift=recipe.shift,
        flip=recipe.flip and dataset.mirror,
        rand_operations=recipe.rand_operations,
        rand_magnitude=recipe.rand_magnitude,
        rand_probability=recipe.rand_probability,
        erase=recipe.erase,
    )
    training = Batches(
        dataset.train,
        recipe.batch_size,
        targets_for(model),
        training=True,
        augment=augment,
        classes=classes,
        smoothing=recipe.label_smoothing,
        mix=Mix(recipe.mixup, recipe.cutmix),
        seed=seed,
        **shared,
    )
    if len(dataset.validation) < spread.count or not len(dataset.validation):
        return training, None
    return training, Batches(dataset.validation, recipe.batch_size, targets_for(model), classes=classes, **shared)


def _fit(
    model: Any,
    dataset: Dataset,
    recipe: Recipe,
    folder: RunFolder,
    seed: int,
    callbacks: Sequence[Any],
    tensorboard: bool,
    verbose: bool,
    spread: Devices,
) -> None:
    training, validation = batches_for(model, dataset, recipe, seed, spread)
    compile_for(model, recipe, len(training), dataset.multi_label)
    main = main_output(model)
    accuracy = "accuracy" if main is None else f"{main}_accuracy"
    average = keras.callbacks.SwapEMAWeights() if recipe.ema else None
    saver = Saver(folder, f"val_{accuracy}" if validation else None, recipe.patience, average, spread.writes)
    if saver.first_epoch >= recipe.epochs or saver.out_of_patience():
        return
    names = {"loss": "loss", "accuracy": accuracy, "val loss": "val_loss", "val accuracy": f"val_{accuracy}"}
    shown = [Progress(recipe.epochs, len(training), names)] if verbose else []
    averaging = [average] if average else []
    logged = [TensorBoardLog(folder.path / LOGS, saver)] if tensorboard else []
    try:
        model.fit(
            training,
            validation_data=validation,
            epochs=recipe.epochs,
            initial_epoch=saver.first_epoch,
            shuffle=False,  # the batches shuffle themselves, by seed and epoch
            verbose=0,
            callbacks=[Epoch(training), StopOnNaN(), *averaging, *logged, saver, *shown, *callbacks],
        )
    except KeyboardInterrupt:
        print(f"\nStopped after {len(saver.rows)} of {recipe.epochs} epochs; resume=True goes on in {folder.path}.")
        raise


def _load_selected(model: Any, recipe: Recipe, folder: RunFolder) -> None:
    bare(model).load_weights(folder.path / (BEST if recipe.select == "best" else LAST))


def _named(model: Any, options: Mapping[str, Any] | None, precision: str) -> tuple[str, dict[str, Any]]:
    """A name for the run's files and the options, after the checks that need no data."""
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}. Received: precision={precision!r}")
    if isinstance(model, str):
        from kattn.zoo.tables import builder

        builder(model)  # an unknown name is an error here, with the closest ones
        return model, dict(options or {})
    if not isinstance(model, keras.Model) or not getattr(model, "inputs", None):
        raise ValueError(f"model is a name of the zoo or a functional Keras model. Received: {type(model).__name__}")
    if precision != "float32":
        raise ValueError(f"precision goes with a name of the zoo; {model.name} has {model.dtype_policy.name}.")
    if options:
        raise ValueError(
            f"options go with a name of the zoo, not with a model that is there. Received: {dict(options)}"
        )
    shape = model.input_shape
    if isinstance(shape, (list, dict)) or len(shape) != 4:
        raise ValueError(f"{model.name} does not take one batch of images. Its input shape: {shape}")
    if class_count(model) is None:
        raise ValueError(f"{model.name} has no fixed number of classes. Its output shape: {model.output_shape}")
    return model.name, {}


def _load(
    model: Any,
    data: Any,
    options: Mapping[str, Any],
    settings: dict[str, Any],
    limit: int | None,
    cache: bool | None,
) -> Dataset:
    """The data, brought to what the model takes; a name takes what the data are."""
    if isinstance(model, str):
        height, width, channels = options.get("input_shape") or (None, None, None)
        classes = options.get("classes")
    else:
        _, height, width, channels = model.input_shape
        classes = class_count(model)
    if settings["image_size"] is None and height and width:
        settings["image_size"] = (height, width)
    dataset = load(data, channels=channels, classes=classes, limit=limit, cache=cache, **settings)
    if len(dataset.class_names) < 2 and not dataset.multi_label:
        raise DataError(f"{dataset.name} has one class only: there is nothing to tell apart.")
    return dataset


def _network(model: Any, options: Mapping[str, Any], dataset: Dataset, precision: str) -> Any:
    if not isinstance(model, str):
        return model
    from kattn.zoo import create

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        fitting = {"input_shape": dataset.image_shape, "classes": len(dataset.class_names)}
        if dataset.multi_label:
            fitting["classifier_activation"] = "sigmoid"
        return create(model, **{**fitting, **options})
    finally:
        keras.config.set_dtype_policy(before)


def _head_paths(model: Any) -> list[str]:
    """Beginnings of the variable paths of the layers that make the classifications: of each output the last one."""
    main = main_output(model)
    outputs = [model.output] if main is None else [model.output[name] for name in targets_for(model)(None)]
    heads = []
    for output in outputs:
        ancestors = keras.Model(model.inputs, output).layers
        makers = [layer for layer in ancestors if _makes(layer, output.shape[-1])]
        heads += [f"{layer.weights[0].path.rsplit('/', 1)[0]}/" for layer in makers[-1:]]
    return heads


def _makes(layer: Any, classes: int) -> bool:
    kinds = (keras.layers.Dense, keras.layers.Conv2D)
    return isinstance(layer, kinds) and layer.weights[0].shape[-1] == classes


def _config(
    name: str,
    options: Mapping[str, Any],
    dataset: Dataset,
    spec: str | None,
    settings: Mapping[str, Any],
    limit: int | None,
    recipe: Recipe,
    given: Any,
    seed: int,
    precision: str,
) -> dict[str, Any]:
    return {
        "model": name,
        "options": _plain(options),
        "data": {"spec": spec, "settings": _plain(settings), "limit": limit, **dataset.describe()},
        "recipe": {"name": given if isinstance(given, str) else "own", **recipe.as_dict()},
        "seed": seed,
        "precision": precision,
        "backend": keras.backend.backend(),
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Of Python and of the packages that a result depends on, as far as they are installed."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _same_or_raise(folder: RunFolder, config: Mapping[str, Any]) -> None:
    """Resuming goes on with the very same run."""
    before = folder.config()
    known = {field.name: field.default for field in dataclasses.fields(Recipe)}
    # A field that recipes did not have when the run was begun had no effect, as by default.
    old, new = _flat(before | {"recipe": _plain(known) | before["recipe"]}), _flat(config)
    harmless = (
        "versions",
        "data.settings.data_dir",
        "data.settings.on_error",
        "data.name",  # how a folder is spelled and where it lies: the fingerprints tell whether the images are the same
        "data.path",
        "data.spec",
        "recipe.name",
        "recipe.summary",
        "recipe.source",
    )
    differ = [key for key in {**old, **new} if old.get(key) != new.get(key) and not key.startswith(harmless)]
    if differ:
        changes = ", ".join(f"{key} was {old.get(key)!r}, is {new.get(key)!r}" for key in differ[:5])
        raise RunError(f"The run in {folder.path} has other settings: {changes}. overwrite=True starts anew.")
    if before["versions"] != config["versions"]:
        log.warning("%s was begun with %s; going on with %s", folder.path, before["versions"], config["versions"])


def _flat(content: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(content, Mapping):
        return {prefix: content}
    pairs = [_flat(value, f"{prefix}.{key}" if prefix else str(key)) for key, value in content.items()]
    return {key: value for pair in pairs for key, value in pair.items()}


def _plain(value: Any) -> Any:
    """Tuples as lists, paths as text, other things by their text: what JSON gives back."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def _spec(data: Any) -> str | None:
    """The data as a text that names them, where there is one."""
    if isinstance(data, Mapping) and list(data) == ["train", "test"]:
        texts = [_spec(source) for source in data.values()]
        return None if None in texts else ":".join(map(str, texts))
    return str(data) if isinstance(data, (str, Path)) else None


def _run_name(name: str, data: Any, recipe: Any, seed: int) -> str:
    sources = "-to-".join(Path(source).name for source in source_names(_spec(data) or "arrays"))
    parts = [name, sources, Path(recipe).stem if isinstance(recipe, (str, Path)) else "own"]
    return "-".join([*parts, str(seed)])


def _announce(network: Any, name: str, dataset: Dataset, recipe: Recipe, folder: RunFolder, spread: Devices) -> None:
    sizes = f"{len(dataset.train)} training, {len(dataset.validation)} validation, {len(dataset.test)} test images"
    shape = "x".join(str(side) for side in dataset.image_shape)
    where = "" if spread.count == 1 else f", {spread.count} devices"
    print(f"{name}, {network.count_params():,} parameters, on the {keras.backend.backend()} backend{where}")
    print(f"{dataset.name}: {sizes} of {shape}, {len(dataset.class_names)} classes")
    done = f", {len(rows)} done" if (rows := folder.history()) else ""
    print(f"{recipe.epochs} epochs of {max(1, len(dataset.train) // recipe.batch_size)} steps{done}", flush=True)
