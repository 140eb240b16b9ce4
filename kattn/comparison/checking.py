"""Before any training: every model is built for the data, so that one that does not fit is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kattn.comparison.entries import Entry
from kattn.comparison.jobs import task_of
from kattn.data.dataset import Dataset
from kattn.profiling import profile
from kattn.training.choosing import AUTO, choose_recipe
from kattn.training.recipes import Recipe, load_recipe

DECIDES = ("input_shape", "classes", "classifier_activation")  # options by which models read data otherwise


def check_models(
    entries: Sequence[Entry],
    given: Mapping[str, Any],
    data: Any,
    reading: Mapping[str, Any],
    precision: str,
    recipe: Any,
    overrides: Mapping[str, Any],
) -> tuple[dict[str, dict[str, int]], Dataset, Any, Recipe, str]:
    """Build every model for the data.

    Args:
        entries: The models.
        given: Functional models by label.
        data, reading, precision, recipe, overrides: As in kattn.compare.

    Returns: Parameters and MACs by label, the data as the first model takes them, the recipe as it is called, the
        recipe, and why it was chosen ("" where the caller said it).
    Raises: ValueError with every model that does not fit; DataError for data that cannot be used.
    """
    read: dict[str, Dataset] = {}
    costs: dict[str, dict[str, int]] = {}
    problems: list[str] = []
    chosen, why = None if recipe == AUTO else load_recipe(recipe, overrides), ""
    for entry in entries:
        model = given.get(entry.label, entry.model)
        key = entry.digest or str([entry.options.get(name) for name in DECIDES])
        try:
            task = task_of(model, entry.options, read.get(key, data), reading, precision)
            read[key] = task.dataset
            if chosen is None:
                pretrained = any(each.options.get("weights") is not None for each in entries)
                recipe, why = choose_recipe(task.dataset, pretrained)
                chosen = load_recipe(recipe, overrides)
            network, _, _ = task.build(chosen, 0, precision)
            cost = profile(network, task.dataset.image_shape)
            costs[entry.label] = {"parameters": cost.parameters, "macs": cost.macs}
        except (ValueError, TypeError) as problem:
            problems.append(f"{entry.label}: {problem}")
            if not read:  # perhaps it is the data: another model would not get further
                break
    if problems:
        raise ValueError(f"Nothing was trained, because not every model fits. {' '.join(problems)}")
    assert chosen is not None
    return costs, next(iter(read.values())), recipe, chosen, why
