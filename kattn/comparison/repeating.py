"""The command that repeats a comparison."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from kattn.comparison.settings import Settings
from kattn.data.loading import usual_settings
from kattn.training.recipes import load_recipe
from kattn.training.settings import as_json

# Settings of the data that are said where they are not the usual ones.
SAID = ("image_size", "validation", "split_seed", "limit", "on_error", "data_dir")


def command(settings: Settings) -> str:
    """The command line that makes the same comparison; "" where none does: arrays, functional models, own recipes."""
    whole = any(each["digest"] for each in settings.models) or settings.class_weight is not None
    if settings.data is None or settings.recipe is None or whole:
        return ""
    common = _common(settings)
    words = ["kattn", "compare", *(_model(each, common) for each in settings.models)]
    for name, value in common.items():
        words += ["--weights", value] if name == "weights" else ["--set", f"{name}={value!r}"]
    words += ["--data", settings.data, "--recipe", settings.recipe]
    committed = as_json(load_recipe(settings.recipe, {"epochs": settings.fields["epochs"]}).as_dict())
    if as_json(load_recipe(settings.recipe).as_dict())["epochs"] != settings.fields["epochs"]:
        words += ["--epochs", str(settings.fields["epochs"])]
    for name, value in settings.fields.items():
        if committed[name] != value:
            words += ["--set", f"recipe.{name}={value}"]
    words += ["--seeds", ",".join(map(str, settings.seeds))]
    usual = usual_settings()
    for name in SAID:
        if (value := settings.reading.get(name, usual[name])) != usual[name]:
            words += [f"--{name.replace('_', '-')}", str(value)]
    for name in ("resize", "interpolation", "labels"):
        if (value := settings.reading.get(name)) is not None:
            words += [f"--{name}", value if isinstance(value, str) else ",".join(value)]
    if settings.precision != "float32":
        words += ["--precision", settings.precision]
    if settings.export:
        words += ["--export", *settings.export]
    if settings.confidence != 0.95:
        words += ["--confidence", str(settings.confidence)]
    for file in settings.imports:
        words += ["--import", file]
    return shlex.join(words)


def _common(settings: Settings) -> dict[str, Any]:
    """The options that were given for all models: those that no label mentions."""
    first = settings.models[0]
    return {name: value for name, value in first["options"].items() if f"{name}=" not in first["label"]}


def _model(each: Mapping[str, Any], common: Mapping[str, Any]) -> str:
    own = {name: value for name, value in each["options"].items() if common.get(name) != value}
    said = ",".join(f"{name}={value!r}" for name, value in own.items())
    return f"{each['model']}:{said}" if said else each["model"]
