"""The settings of a run, as config.json holds them: their texts, and whether a call resumes the same run."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kattn.data.loading import source_names, spec_of
from kattn.data.splits import POSITION
from kattn.facts.stated import BYTES, INTERPOLATION, RESIZE
from kattn.runs.folder import RunError, RunFolder
from kattn.training.recipes import Recipe

log = logging.getLogger("kattn")

NUMERICS = 2  # counted up when the same settings train otherwise than before
NUMERICS_CHANGES = (
    "2: SGD's momentum as in torch, moving variances of the population, averaged weights once an update and with "
    "statistics of their own, crops, CutMix, RandAugment and initial weights as in the papers' code, cross-entropy of "
    "logits"
)
# Settings that may differ when a run is resumed: they change no result.
HARMLESS = (
    "numerics",  # compared apart
    "versions",
    "data.settings.data_dir",
    "data.settings.on_error",
    "data.name",  # how a folder is spelled and where it lies: the fingerprints tell whether the images are the same
    "data.path",
    "data.spec",
    "facts.kinds",  # of the network, which the model and its options say
    "recipe.name",
    "recipe.summary",
    "recipe.source",
)
OF_IMAGES = ("data.fingerprint", "data.images")  # what differs where images were added, removed or changed
SPLIT_BY = "data.settings.split_by"
# What runs were like before these things were recorded.
RECORDED_LATER: dict[str, Any] = {
    "facts": {"value_range": list(BYTES), "resize": RESIZE, "interpolation": INTERPOLATION}
}


def check_same(folder: RunFolder, config: Mapping[str, Any]) -> None:
    """Check that the run in a folder has these settings. Other versions of packages are a warning in the log.

    Raises: RunError that names the settings that differ.
    """
    before = folder.config()
    # A run that was started before recipes had some field ran as with that field's default.
    defaults = {field.name: field.default for field in dataclasses.fields(Recipe)}
    old = {SPLIT_BY: POSITION} | _flat(RECORDED_LATER | before | {"recipe": as_json(defaults) | before["recipe"]})
    new = _flat(config)
    if not same_numerics(folder):
        otherwise = f"The run in {folder.path} was started by a kattn that computed otherwise ({NUMERICS_CHANGES})"
        if not folder.finished:
            raise RunError(f"{otherwise}: it cannot go on here with the same result. overwrite=True starts it anew.")
        log.warning("%s", otherwise)
    differ = [key for key in {**old, **new} if old.get(key) != new.get(key) and not key.startswith(HARMLESS)]
    if differ and all(key.startswith(OF_IMAGES) for key in differ):
        counts = [", ".join(f"{n} {part}" for part, n in one["data"]["images"].items()) for one in (before, config)]
        raise RunError(
            f"The images of {config['data']['name']} are not those that the run in {folder.path} was started with "
            f"({counts[0]} then; {counts[1]} now): it cannot go on with other images. Make them what they were, choose "
            "another folder, or overwrite=True starts anew."
        )
    if differ:
        changes = ", ".join(f"{key} was {old.get(key)!r}, is {new.get(key)!r}" for key in differ[:5])
        raise RunError(f"The run in {folder.path} has other settings: {changes}. overwrite=True starts anew.")
    if before.get("versions") != config["versions"]:
        log.warning("%s was started with %s, goes on with %s", folder.path, before.get("versions"), config["versions"])


def split_by(folder: RunFolder) -> str:
    """How the images of a run that was started were split: one that does not record it split by position."""
    return str(folder.config()["data"].get("settings", {}).get("split_by", POSITION))


def same_numerics(folder: RunFolder) -> bool:
    """Whether the run in a folder was started by a kattn that trains as this one does."""
    return folder.config().get("numerics", 1) == NUMERICS


def default_folder(model: str, data: Any, recipe: Any, seed: int) -> Path:
    """Where a run goes by default: runs/<model>-<data>-<recipe>-<seed>."""
    sources = "-to-".join(Path(source).name for source in source_names(spec_of(data) or "arrays"))
    recipe_name = Path(recipe).stem if isinstance(recipe, (str, Path)) else "own"
    return Path("runs") / "-".join([model, sources, recipe_name, str(seed)])


def recorded_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a network of the zoo as JSON holds them; attention of one's own by the names of its classes."""
    found = as_json(options)
    if not isinstance(options.get("attention"), str | None):
        from kattn.zoo.attentions.named import settled
        from kattn.zoo.attentions.recorded import record_of

        found["attention"] = list(record_of(settled(options["attention"])[0]))
    return found


def _flat(content: Any, prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one: {"recipe.epochs": 3, ...}."""
    if not isinstance(content, Mapping):
        return {prefix: content}
    pairs = [_flat(value, f"{prefix}.{key}" if prefix else str(key)) for key, value in content.items()]
    return {key: value for pair in pairs for key, value in pair.items()}


def as_json(value: Any) -> Any:
    """A value as JSON gives it back: tuples as lists, paths and everything unknown as text."""
    if isinstance(value, Mapping):
        return {str(key): as_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_json(item) for item in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)
