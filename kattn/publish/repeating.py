"""The command that repeats a run, and what a published row says of a run's configuration."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from kattn.data.loading import usual_settings
from kattn.training.recipes import Recipe, load_recipe

SPLITTING = ("image_size", "validation", "split_seed", "split_by", "on_error")  # settings of the data
WORDED = ("summary", "source")  # fields of a recipe that may be worded anew


def command(config: Mapping[str, Any]) -> str:
    """The command that repeats a run. Raises: ValueError where there is none."""
    spec, settings = config["data"]["spec"], config["data"]["settings"]
    usual = usual_settings()
    unusual = [key for key in SPLITTING if settings.get(key, usual[key]) != usual[key]]
    if spec is None or config["data"]["limit"] is not None or unusual:
        raise ValueError(
            f"{config['model']}: only runs on whole data with the usual splits are published. Received: "
            f"data={spec!r}, limit={config['data']['limit']}" + "".join(f", {key}={settings[key]!r}" for key in unusual)
        )
    words = ["kattn", "train", config["model"], "--data", spec, "--recipe", config["recipe"]["name"]]
    if (epochs := epochs_changed(config)) is not None:
        words += ["--epochs", str(epochs)]
    for key, value in config["options"].items():
        words += ["--set", f"{key}={value}"]
    if config["precision"] != "float32":
        words += ["--precision", config["precision"]]
    return shlex.join([*words, "--seed", str(config["seed"])])


def epochs_changed(config: Mapping[str, Any]) -> int | None:
    """The epochs of a run where they are not its recipe's, else None.

    Raises: ValueError for a run of another recipe, or with other fields changed.
    """
    fields = dict(config["recipe"])
    name = fields.pop("name")
    ran = Recipe(**fields | {"milestones": tuple(fields["milestones"])}).as_dict()
    differ: list[str] = []
    for epochs in (None, ran["epochs"]):
        try:
            committed = load_recipe(name, {} if epochs is None else {"epochs": epochs}).as_dict()
        except ValueError as problem:
            raise ValueError(f"{config['model']}: not of a committed recipe: {problem}") from None
        differ = [key for key in ran if key not in WORDED and committed[key] != ran[key]]
        if not differ:
            return epochs
    raise ValueError(f"{config['model']}: the run differs from the recipe {name} in {', '.join(differ)}.")


def versions_of(config: Mapping[str, Any]) -> str:
    """The versions of Python and the packages that a run was trained with."""
    return ", ".join(f"{key} {value}" for key, value in config["versions"].items() if key != "machine")


def percent(share: float) -> float:
    """A share as the tables print it."""
    return round(100 * share, 2)
