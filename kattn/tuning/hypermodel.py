"""The search space as a KerasTuner HyperModel, for those who drive KerasTuner themselves."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kattn.training.recipes import Recipe, load_recipe
from kattn.tuning.space import Space


class Attention:
    """Networks of the zoo with their attention and training to choose, built and compiled.

    >>> tuner = keras_tuner.RandomSearch(AttentionHyperModel("resnet20", ("se", "eca")), "val_accuracy", max_trials=8)
    >>> tuner.search(images, labels, validation_split=0.1, epochs=3)

    Args:
        backbone: A plain network of the zoo.
        mechanisms: Short names of attention mechanisms; "none" is the plain network.
        space: As for kattn.tune. None: reduction 2, 4, 8, 16.
        recipe: Decides optimizer, schedule and loss.
        steps: Steps an epoch, for the schedule.
        fixed: Options of every network, such as input_shape and classes.

    Raises: ValueError as Space does.
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
        from kattn.tuning.search import SPACE
        from kattn.zoo.tables import model_name

        super().__init__(name=f"attention_{backbone}")  # type: ignore[call-arg]
        if isinstance(mechanisms, str) or not mechanisms:
            raise ValueError(f"mechanisms is a list of names. Received: {mechanisms!r}")
        self.recipe = load_recipe(recipe)
        self.steps = steps
        self.fixed = fixed
        choices = {"mechanism": list(mechanisms), **(SPACE if space is None else space)}
        self.space = Space(model_name(mechanisms[0], backbone), choices, self.recipe)

    def build(self, hp: Any) -> Any:
        """A compiled network for these hyperparameters."""
        from kattn.training.fitting import compile_for
        from kattn.zoo import create

        candidate = self.space.candidate(self.space.declare(hp))
        model = create(candidate.model, **{**self.fixed, **candidate.options})
        compile_for(model, load_recipe(self.recipe, candidate.overrides), self.steps)
        return model


@functools.cache
def hypermodel() -> type:
    """`AttentionHyperModel`: the class above as one of KerasTuner's, which is imported for it."""
    import keras_tuner

    return type("AttentionHyperModel", (Attention, keras_tuner.HyperModel), {"__doc__": Attention.__doc__})
