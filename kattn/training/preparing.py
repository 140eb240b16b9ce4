"""A network and its data, checked against each other: everything before the first step, with nothing written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import keras

from kattn.data.dataset import Dataset
from kattn.facts.description import RUN, VALUES, Input
from kattn.facts.of_model import remember
from kattn.facts.stated import Stated
from kattn.training.choosing import AUTO, choose_recipe
from kattn.training.images import input_of, labelled, settled
from kattn.training.kinds import Trained, trained_as, trained_outputs
from kattn.training.network import build_network, check_network, load_data
from kattn.training.recipes import Recipe, load_recipe


@dataclass(frozen=True)
class Task:
    """What is trained on what.

    Attributes:
        model: A name of the zoo or a Keras model.
        name: Of the model.
        options: Of a name of the zoo.
        given: What is known of the model's input.
        dataset: The data, brought to the model's size.
        settings: How the data were read, as config.json holds it.
        stated: What the caller said.
    """

    model: Any
    name: str
    options: dict[str, Any]
    given: Input
    dataset: Dataset
    settings: dict[str, Any]
    stated: Stated

    @property
    def pretrained(self) -> bool:
        """Whether a network of the zoo starts from weights that were trained before."""
        return self.options.get("weights") is not None

    def recipe(self, recipe: Any, overrides: Mapping[str, Any] | None) -> tuple[Any, Recipe, str]:
        """The recipe as it was named, the recipe, and why it was chosen ("" where the caller said it)."""
        why = ""
        if recipe == AUTO:
            recipe, why = choose_recipe(self.dataset, self.pretrained)
        return recipe, load_recipe(recipe, overrides), why

    def build(self, recipe: Recipe, seed: int, precision: str, shown: str = "") -> tuple[Any, Trained, dict[str, str]]:
        """The network, how it is trained, and the kinds of its outputs. Sets every random seed.

        Args:
            recipe, seed, precision: As in kattn.train.
            shown: Where the network's facts will be recorded.

        Raises: ValueError for a network that cannot be built or trained; DataError for labels of another kind.
        """
        keras.utils.set_random_seed(seed)
        network = build_network(self.model, self.options, self.dataset, precision, recipe.zero_init_residual)
        row = trained_as(network, self.dataset)
        given = self.given
        known = Stated(given.value_range.value, given.preprocess.value, given.resize.value, given.interpolation.value)
        kinds = dict.fromkeys(trained_outputs(network), row.kind)
        labels = None if row.kind == VALUES else self.dataset.class_names
        remember(network, replace(known, labels=labels, kinds=kinds), RUN, shown)
        return network, row, kinds


def check_task(model: Any, options: Mapping[str, Any] | None, precision: str, stated: Stated) -> tuple[str, Input]:
    """Check what can be checked without data. Returns: the model's name, and what is known of its input."""
    return check_network(model, options, precision), input_of(model, stated)


def load_task(
    model: Any,
    data: Any,
    options: Mapping[str, Any] | None,
    stated: Stated,
    settings: dict[str, Any],
    *,
    precision: str = "float32",
    limit: int | None = None,
    cache: bool | None = None,
) -> Task:
    """Check a network and load the data that it is to be trained on.

    Args:
        model, data, options, precision, limit, cache: As in kattn.train.
        stated: What the caller states.
        settings: Further arguments of kattn.data.load; an "image_size" of None is replaced by the model's.

    Raises: ValueError and DataError as kattn.train does before any training.
    """
    name, given = check_task(model, options, precision, stated)
    known = dict(options or {})
    dataset = labelled(load_data(model, data, known, settings, limit, cache, given), stated.labels)
    return Task(model, name, known, settled(given, dataset, name), dataset, settings, stated)
