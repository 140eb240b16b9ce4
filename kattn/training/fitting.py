"""From a recipe to Keras's `fit`: loss and metrics, optimizer, batches, callbacks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from kattn.data.augmentation.augment import Augment, Mix
from kattn.data.batches import Batches
from kattn.data.dataset import Dataset
from kattn.facts.description import BINARY, CLASSES
from kattn.files import counted
from kattn.graph.outputs import main_output, targets_for
from kattn.runs.folder import LOGS, RunFolder
from kattn.training import compiling
from kattn.training.callbacks import RunCheckpoint, SetEpoch, StopOnNaN, WarnOfGrowth
from kattn.training.devices import Devices
from kattn.training.kinds import TRAINED, Trained, recipe_for
from kattn.training.optimisation.averaging import AveragedWeights
from kattn.training.optimisation.optimizers import SGD, AdamW
from kattn.training.optimisation.schedules import Schedule
from kattn.training.progress import Progress
from kattn.training.recipes import Recipe
from kattn.training.tensorboard import TensorBoardLog

# Kind of targets -> loss.
LOSSES = {
    "attributes": keras.losses.BinaryCrossentropy,
    "soft": keras.losses.CategoricalCrossentropy,
    "classes": keras.losses.SparseCategoricalCrossentropy,
}


def compile_for(
    model: Any,
    recipe: Recipe,
    steps: int,
    multi_label: bool = False,
    *,
    loss: Any = None,
    metrics: Sequence[Any] | None = None,
) -> None:
    """Compile a model as the recipe says, by `kattn.compile_for`: trained on logits, every output alike.

    Args:
        model: A Keras model.
        recipe: The recipe.
        steps: Steps an epoch.
        multi_label: The outputs are attributes, each with a probability of its own.
        loss, metrics: In place of those of classes and attributes.
    """
    own = LOSSES["attributes" if multi_label else "soft" if needs_soft_targets(recipe) else "classes"]
    optimizer = recipe_optimizer(model, recipe, steps)
    compiling.compile_for(model, optimizer=optimizer, loss=loss or own(), metrics=metrics or ["accuracy"])
    model.optimizer.build(model.trainable_variables)  # else TensorFlow traces the first step twice


def recipe_optimizer(model: Any, recipe: Recipe, steps: int) -> Any:
    """The recipe's optimizer for the variables of a model, of which some may learn slower; see `build_optimizer`."""
    alike = recipe.body_rate == 1.0 and not recipe.head_epochs
    return build_optimizer(recipe, steps, () if alike else _head_paths(model))


def build_optimizer(recipe: Recipe, steps: int, head: Sequence[str] = ()) -> Any:
    """The recipe's optimizer and schedule.

    Args:
        recipe: The recipe.
        steps: Steps an epoch.
        head: Beginnings of the paths of the variables that learn at the full rate; others at `body_rate` of it.
    """
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
        common["average"] = recipe.ema
    if recipe.optimizer == "adamw":
        return AdamW(weight_decay=recipe.weight_decay, **common)
    return SGD(
        momentum=recipe.momentum,
        nesterov=recipe.nesterov,
        l2=recipe.weight_decay,
        head=head,
        body_rate=recipe.body_rate,
        head_steps=round(recipe.head_epochs * steps),
        convention=recipe.convention,
        **common,
    )


def needs_soft_targets(recipe: Recipe) -> bool:
    """Whether the targets are rows of probabilities rather than class numbers."""
    return bool(recipe.label_smoothing or recipe.mixup or recipe.cutmix)


def batches_for(
    model: Any,
    dataset: Dataset,
    recipe: Recipe,
    seed: int,
    devices: Devices | None = None,
    as_input: Callable[[Any], Any] | None = None,
    row: Trained = TRAINED[CLASSES],
    weights: np.ndarray | None = None,
) -> tuple[Batches, Batches | None]:
    """Training and validation batches as the recipe says.

    Args:
        model: The model that is trained: its outputs say what the targets look like.
        dataset: The data.
        recipe: The recipe.
        seed: Of order and augmentation.
        devices: What the batches are shared by; None for one device.
        as_input: Makes what the model takes of images of bytes; None leaves them.
        row: How the outputs are trained.
        weights: What each class counts in the loss of training; None for all the same.

    Returns: The two; None in place of the second where there are no validation images.
    """
    devices = devices or Devices()
    shared: dict[str, Any] = {"part": (devices.rank, devices.ranks), "devices": devices.count, "as_input": as_input}
    shared["binary"] = row.kind == BINARY
    shared["classes"] = len(dataset.class_names) if needs_soft_targets(recipe) and row.kind == CLASSES else None
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
        smoothing=recipe.label_smoothing,
        mix=Mix(recipe.mixup, recipe.cutmix),
        weights=weights,
        seed=seed,
        **shared,
    )
    if len(dataset.validation) < devices.count or not len(dataset.validation):
        return training, None
    return training, Batches(dataset.validation, recipe.batch_size, targets_for(model), **shared)


def fit(
    model: Any,
    dataset: Dataset,
    recipe: Recipe,
    folder: RunFolder,
    seed: int,
    devices: Devices,
    callbacks: Sequence[Any],
    tensorboard: bool,
    verbose: bool,
    as_input: Callable[[Any], Any] | None = None,
    row: Trained = TRAINED[CLASSES],
    weights: np.ndarray | None = None,
) -> None:
    """Compile and train a model, from the state in the run's folder where there is one; see kattn.train."""
    recipe = recipe_for(row, recipe)
    training, validation = batches_for(model, dataset, recipe, seed, devices, as_input, row, weights)
    metrics = [row.metric(name=row.name)] if row.metric else None
    compile_for(model, recipe, len(training), row.sides, loss=row.loss and row.loss(), metrics=metrics)
    main = main_output(model)
    metric = row.name if main is None else f"{main}_{row.name}"
    averaging = [AveragedWeights(training)] if recipe.ema else []
    checkpoint = RunCheckpoint(
        folder,
        f"val_{metric}" if validation else None,
        patience=recipe.patience,
        average=averaging[0] if averaging else None,
        writes=devices.writes,
        lower=row.lower,
    )
    if checkpoint.first_epoch >= recipe.epochs or checkpoint.out_of_patience():
        return
    logged = [TensorBoardLog(folder.path / LOGS, checkpoint)] if tensorboard else []
    names = {"loss": "loss", row.name: metric, "val loss": "val_loss", f"val {row.name}": f"val_{metric}"}
    shown = [Progress(recipe.epochs, len(training), names), WarnOfGrowth(checkpoint)] if verbose else []
    try:
        model.fit(
            training,
            validation_data=validation,
            epochs=recipe.epochs,
            initial_epoch=checkpoint.first_epoch,
            shuffle=False,  # the batches shuffle themselves, by seed and epoch
            verbose=0,
            callbacks=[SetEpoch(training), StopOnNaN(), *averaging, *logged, checkpoint, *shown, *callbacks],
        )
    except KeyboardInterrupt:
        done = len(checkpoint.rows)
        print(f"\nStopped after {done} of {counted(recipe.epochs, 'epoch')}; resume=True goes on in {folder.path}.")
        raise


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
