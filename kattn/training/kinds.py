"""How an output of each kind is trained: one row a kind."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from kattn.data.checks import VOID
from kattn.data.dataset import Dataset
from kattn.data.errors import DataError
from kattn.evaluation.kinds import kind_by_targets, kind_of, known_kind, measured
from kattn.facts.description import ATTRIBUTES, BINARY, CLASSES, MAP, VALUES, Output
from kattn.facts.of_model import describe_model
from kattn.graph.outputs import class_outputs
from kattn.suggest import unknown
from kattn.training.recipes import Recipe

log = logging.getLogger("kattn")


class PixelAccuracy(keras.metrics.SparseCategoricalAccuracy):
    """Share of labelled pixels with the right class."""

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Count a batch; pixels without a label are left out."""
        labels = keras.ops.cast(y_true, "int32")
        void = keras.ops.equal(labels, VOID)
        return super().update_state(
            keras.ops.where(void, 0, labels), y_pred, keras.ops.cast(keras.ops.logical_not(void), "float32")
        )


def _pixel_loss() -> Any:
    return keras.losses.SparseCategoricalCrossentropy(ignore_class=VOID)


@dataclass(frozen=True)
class Trained:
    """How a kind of output is trained.

    Attributes:
        kind: Of the output.
        loss, metric: Make Keras's loss and metric; None leaves both to `compile_for`.
        sides: Each unit answers yes or no.
        name: Of the metric, in the history.
        lower: A lower value of the metric is better.
        plain: Images and targets stay as they are: an image that is moved, mirrored or mixed would need other targets.
    """

    kind: str
    loss: Any = None
    metric: Any = None
    sides: bool = False
    name: str = "accuracy"
    lower: bool = False
    plain: bool = False


ROWS = (
    Trained(CLASSES),
    Trained(BINARY, sides=True),
    Trained(ATTRIBUTES, sides=True),
    Trained(
        VALUES,
        loss=keras.losses.MeanSquaredError,
        metric=keras.metrics.MeanAbsoluteError,
        name="mae",
        lower=True,
        plain=True,
    ),
    Trained(MAP, loss=_pixel_loss, metric=PixelAccuracy, plain=True),
)
TRAINED: dict[str, Trained] = {row.kind: row for row in ROWS}
MASK = replace(TRAINED[MAP], loss=keras.losses.BinaryCrossentropy, metric=keras.metrics.BinaryAccuracy)
# Fields of a recipe that change targets, or images so that these would need other targets.
CHANGES: dict[str, Any] = {"crop": 0.0, "shift": 0.0, "flip": False, "rand_operations": 0}
CHANGES |= {"label_smoothing": 0.0, "mixup": 0.0, "cutmix": 0.0}


def trained_outputs(model: Any) -> dict[str, Output]:
    """The outputs of a model that are trained on the labels, the main one first.

    Raises: ValueError for a model whose outputs come as a list, or differ in kind.
    """
    outputs = describe_model(model).outputs
    names = class_outputs(model) or list(outputs)
    kinds = {outputs[name].kind.value for name in names}
    if len(kinds) > 1:
        each = ", ".join(f"{name} ({outputs[name].kind.value})" for name in names)
        raise ValueError(
            f"{model.name} has outputs of several kinds: {each}. One label an image cannot train them all: take one, "
            f"keras.Model(model.inputs, model.output[{names[0]!r}]), or train with Keras's compile and fit."
        )
    return {name: outputs[name] for name in names}


def trained_as(model: Any, dataset: Dataset) -> Trained:
    """How a model is trained: by the kind of its outputs; where they do not say it, the labels do.

    Raises: ValueError for a kind that is not trained; DataError for labels of another kind.
    """
    name, output = next(iter(trained_outputs(model).items()))
    kind = known_kind(kind_of(output)) or kind_by_targets(dataset.targets, output.shape)
    if kind not in TRAINED:
        raise ValueError(
            f"output {name!r} of {model.name} is of the kind {kind!r}, which kattn.train has no loss for; it trains "
            f"{', '.join(TRAINED)}."
        )
    if (wanted := measured(kind, 1 + len(output.shape), name).targets) != dataset.targets:
        raise DataError(
            f"{model.name} gives {kind}, which need labels of the kind {wanted!r}; {dataset.name} has "
            f"{dataset.targets!r}."
        )
    return MASK if kind == MAP and output.shape[-1] == 1 else TRAINED[kind]


def recipe_for(row: Trained, recipe: Recipe) -> Recipe:
    """The recipe without what does not go with the kind of output; the log says what was left out."""
    asked = [name for name, off in CHANGES.items() if row.plain and getattr(recipe, name) != off]
    if asked:
        log.warning("%s of the recipe left out: targets of the kind %r stay as they are", ", ".join(asked), row.kind)
    return replace(recipe, **{name: CHANGES[name] for name in asked})


def class_weights(given: str | Mapping[Any, float] | None, dataset: Dataset) -> dict[str, float] | None:
    """What each class counts in the loss, by name.

    Args:
        given: "balanced": images / (classes * images of the class), so that all classes count the same in sum
            (scikit-learn's formula; in maps pixels in place of images). A mapping from class names or numbers to
            weights; classes that it leaves out count 1. None: no weights.
        dataset: The data.

    Returns: Weight by the name of the class; None where none are given.
    Raises: ValueError for what is neither, for an unknown class and a weight below 0; DataError for labels that are no
        classes.
    """
    if given is None:
        return None
    if dataset.targets not in ("classes", "map"):
        raise DataError(f"class_weight goes with classes; {dataset.name} has {dataset.targets}.")
    names = dataset.class_names
    if isinstance(given, str) and given == "balanced":
        labels = dataset.train.labels
        counts = np.bincount(labels[labels != VOID] if labels.ndim > 1 else labels, minlength=len(names))
        there = max(1, int((counts > 0).sum()))
        whole = counts.sum() / there
        return {name: float(whole / count) if count else 1.0 for name, count in zip(names, counts, strict=True)}
    if not isinstance(given, Mapping):
        raise ValueError(f'class_weight is "balanced" or a mapping from classes to weights. Received: {given!r}')
    weights = dict.fromkeys(names, 1.0)
    for key, weight in given.items():
        number = int(key) if str(key).isdigit() and str(key) not in names else None
        name = names[number] if number is not None and number < len(names) else str(key)
        if name not in weights:
            raise unknown("class", key, names)
        if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0 <= weight < float("inf"):
            raise ValueError(f"A class's weight is a number of at least 0. Received: {key!r}: {weight!r}")
        weights[name] = float(weight)
    return weights
