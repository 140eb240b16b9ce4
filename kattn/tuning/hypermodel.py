"""The search space as a KerasTuner HyperModel, for programs that drive KerasTuner themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import keras_tuner
from keras import ops

from kattn.training.compiling import compile_for
from kattn.training.fitting import recipe_optimizer
from kattn.training.recipes import Recipe, load_recipe
from kattn.tuning.space import DEFAULT_SPACE, Space
from kattn.zoo import create
from kattn.zoo.tables import model_name


class AttentionHyperModel(keras_tuner.HyperModel):
    """Networks of the zoo whose attention and training are hyperparameters, built and compiled.

    >>> tuner = keras_tuner.RandomSearch(AttentionHyperModel("resnet20", ("se", "eca")), "val_accuracy", max_trials=8)
    >>> tuner.search(images, labels, validation_split=0.1, epochs=3)

    Labels are class numbers, or one row of probabilities an image. The recipe's label smoothing is part of the loss,
    for class numbers. What its batches do (augmentation, mixup, cutmix) is left to the program. Networks of several
    outputs (abn) take `kattn.targets_for(model)(labels)` and the objective "val_predictions_accuracy".

    Args:
        backbone: A plain network of the zoo.
        mechanisms: Short names of attention mechanisms; "none" is the plain network.
        space: As for kattn.tune. None: reduction 2, 4, 8, 16.
        recipe: Decides optimizer, schedule and loss.
        steps: Steps an epoch, for the schedule.
        fixed: Options of every network, such as input_shape and classes.

    Raises: ValueError for a mechanism, a name or a choice that does not exist.
    """

    def __init__(
        self,
        backbone: str = "resnet20",
        mechanisms: Sequence[str] = ("se",),
        space: Mapping[str, Any] | None = None,
        *,
        recipe: str | Path | Mapping[str, Any] | Recipe = "quick",
        steps: int = 100,
        **fixed: Any,
    ) -> None:
        super().__init__(name=f"attention_{backbone}")
        if isinstance(mechanisms, str) or not mechanisms:
            raise ValueError(f"mechanisms is a list of names. Received: {mechanisms!r}")
        self.recipe = load_recipe(recipe)
        self.steps = steps
        self.fixed = fixed
        choices = {"mechanism": list(mechanisms), **(DEFAULT_SPACE if space is None else space)}
        self.space = Space(model_name(mechanisms[0], backbone), choices, self.recipe)

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """A compiled network for these hyperparameters."""
        candidate = self.space.candidate(self.space.declare(hp))
        model = create(candidate.model, **{**self.fixed, **candidate.options})
        recipe = load_recipe(self.recipe, candidate.overrides)
        compile_for(
            model, optimizer=recipe_optimizer(model, recipe, self.steps), loss=crossentropy(recipe.label_smoothing)
        )
        return model


def crossentropy(smoothing: float) -> Callable[[Any, Any], Any]:
    """A loss whose labels are class numbers, which are smoothed, or rows of probabilities, which are taken as they are.

    Args:
        smoothing: Share of the target that is spread over all classes.
    """

    def loss(labels: Any, predictions: Any, from_logits: bool = False) -> Any:
        classes = predictions.shape[-1]
        if len(labels.shape) != 2 or labels.shape[-1] != classes:
            numbers = ops.cast(ops.reshape(labels, (-1,)), "int32")
            labels = ops.one_hot(numbers, classes, dtype=predictions.dtype) * (1 - smoothing) + smoothing / classes
        return keras.losses.categorical_crossentropy(labels, predictions, from_logits=from_logits)

    return loss
