"""The settings of a comparison, as in settings.json: equal settings give equal results."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kattn.comparison.errors import ComparisonError
from kattn.reading import Unreadable, read_json

FILE = "settings.json"
# What a later call may say otherwise: further models, seeds and exports are added to what is there.
GROWING = ("models", "seeds", "export", "confidence", "costs")
HARMLESS = ("versions", "imports", "recipe")  # the recipe's fields are compared


@dataclass(frozen=True)
class Settings:
    """What is compared, and how.

    Attributes:
        models: One mapping a model: label, model, options, digest (see `kattn.comparison.entries.Entry`).
        seeds: In order.
        data: Name or path; None for arrays.
        reading: Arguments of kattn.train that say how the data are read, and what is known of them.
        recipe: Name or path of the recipe; None for one that was given as fields.
        fields: The recipe's fields, with everything that replaces some of them.
        precision, class_weight: As in kattn.train.
        threads: Of each run; None for runs in the calling process.
        export: "format:precision" each.
        confidence: Of the intervals.
        about: What the data are: as kattn.data.Dataset.describe says it.
        costs: By label: parameters and macs.
        backend, versions: Of Keras; of the packages.
        imports: Python files that every process runs first.
    """

    models: list[dict[str, Any]]
    seeds: list[int]
    data: str | None
    reading: dict[str, Any]
    recipe: str | None
    fields: dict[str, Any]
    precision: str
    class_weight: Any
    threads: int | None
    export: list[str]
    confidence: float
    about: dict[str, Any]
    costs: dict[str, dict[str, int]]
    backend: str
    versions: dict[str, Any]
    imports: list[str]

    @classmethod
    def read(cls, folder: Path) -> Settings:
        """The settings in a comparison's folder. Raises: ComparisonError for a damaged file."""
        file = folder / FILE
        try:
            content = read_json(file)
        except OSError as error:
            raise ComparisonError(f"{file} cannot be read: {error.strerror}.") from error
        except Unreadable as error:
            raise ComparisonError(f"{file} {error}. overwrite=True starts anew.") from error
        fields = {each.name for each in dataclasses.fields(cls)}
        if wrong := sorted(fields ^ content.keys()):
            raise ComparisonError(
                f"{file} is no comparison's: {', '.join(wrong)} is missing or unknown. overwrite=True starts anew."
            )
        return cls(**content)

    def as_dict(self) -> dict[str, Any]:
        """Every field."""
        return dataclasses.asdict(self)

    def check_same(self, before: Settings, path: Path) -> None:
        """Raise ComparisonError where runs of `before` would not belong to this comparison."""
        now, then = self.as_dict(), before.as_dict()
        differ = [
            f"{name} was {one!r:.80}, is {other!r:.80}"
            for name in now
            if name not in (*GROWING, *HARMLESS)
            for one, other in _differences(then[name], now[name])
        ]
        known = {each["label"]: each for each in before.models}
        differ += [
            f"{each['label']} was {known[each['label']]}, is {each}"
            for each in self.models
            if each != known.get(each["label"], each)
        ]
        if differ:
            raise ComparisonError(
                f"{path} holds another comparison: {'; '.join(differ)}. Choose another folder (out=), or "
                "overwrite=True starts anew."
            )


def _differences(one: Any, other: Any) -> list[tuple[Any, Any]]:
    """What differs between two values; of mappings the fields alone."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        keys = [key for key in {**one, **other} if key not in ("data_dir", "summary", "source", "name", "path")]
        return [({key: one.get(key)}, {key: other.get(key)}) for key in keys if one.get(key) != other.get(key)]
    return [] if one == other else [(one, other)]
