"""What the JSON files of a run may hold: checked when they are read, because a run may come from anyone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from kattn.runs.errors import RunError

Test = Callable[[Any], bool]
MOST_CLASSES = 1_000_000


def _text(value: Any) -> bool:
    return isinstance(value, str) and len(value) < 10_000


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _whole(value: Any) -> bool:
    return type(value) is int and abs(value) < 1 << 63


def _positive(value: Any) -> bool:
    return _whole(value) and value > 0


def _table(value: Any) -> bool:
    return isinstance(value, Mapping)


def _texts(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= MOST_CLASSES and all(map(_text, value))


def _shape(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(map(_positive, value))


def _counts(value: Any) -> bool:
    return _table(value) and all(map(_whole, value.values()))


def _accuracies(value: Any) -> bool:
    return _table(value) and all(one is None or _number(one) for one in value.values())


def _matrix(value: Any) -> bool:
    rows = isinstance(value, list) and all(isinstance(row, list) and len(row) == len(value) for row in value)
    return rows and all(_whole(count) for row in value for count in row)


def _or_none(test: Test) -> Test:
    return lambda value: value is None or test(value)


# Field, with dots between: what it must be where it is there.
CONFIG: dict[str, Test] = {
    "model": _text,
    "options": _table,
    "seed": _whole,
    "recipe": _table,
    "recipe.name": _text,
    "recipe.epochs": _positive,
    "recipe.batch_size": _positive,
    "recipe.select": _text,
    "data": _table,
    "data.name": _text,
    "data.spec": _or_none(_text),
    "data.settings": _table,
    "facts": _table,
    "data.settings.data_dir": _or_none(_text),
    "data.limit": _or_none(_positive),
    "data.class_names": _texts,
    "data.image_shape": _shape,
    "data.images": _counts,
}
METRICS: dict[str, Test] = {
    "images": _whole,
    "classes": _whole,
    "attributes": _whole,
    "top1": _number,
    "accuracy": _number,
    "average_precision": _or_none(_number),
    "loss": _number,
    "calibration_error": _number,
    "top5": _or_none(_number),
    "first_level": _or_none(_number),
    "per_class": _accuracies,
    "per_attribute": _table,
    "confusion": _matrix,
    "model": _text,
    "data": _text,
}


def check(content: Mapping[str, Any], fields: Mapping[str, Test], file: Path) -> None:
    """Raise RunError for the first field that is there and is not what it must be."""
    for field, test in fields.items():
        found, value = _find(content, field)
        if found and not test(value):
            raise RunError(f"{file} is damaged: {field} is {value!r:.60}.")


def require(content: Mapping[str, Any], fields: Iterable[str], file: Path) -> None:
    """Raise RunError with the fields that are missing."""
    if missing := [field for field in fields if not _find(content, field)[0]]:
        raise RunError(f"{file} is damaged: {', '.join(missing)} is missing.")


def number(text: str) -> float:
    """A cell of history.csv as a number, whole where it is written so. Raises: ValueError."""
    return int(text) if text.lstrip("-").isdigit() and len(text) < 20 else float(text)


def _find(content: Any, field: str) -> tuple[bool, Any]:
    for name in field.split("."):
        if not isinstance(content, Mapping) or name not in content:
            return False, None
        content = content[name]
    return True, content
