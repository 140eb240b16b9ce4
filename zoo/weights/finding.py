"""`weights=`: the file behind a tag or a path, and what it asks of the model before one is built."""

from __future__ import annotations

import json
import logging
import math
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kattn.facts.recorded import stated_in
from kattn.facts.stated import Stated
from kattn.hdf5 import open_hdf5
from kattn.zoo.weights import manifest
from kattn.zoo.weights.agreement import IN_TENSORS, OWN_ATTENTION, OtherNetwork, require_agreement
from kattn.zoo.weights.download import fetch
from kattn.zoo.weights.files.foreign_files import SUFFIXES as FOREIGN_SUFFIXES
from kattn.zoo.weights.files.foreign_files import open_tensors
from kattn.zoo.weights.naming.layouts import Shape
from kattn.zoo.weights.naming.recognition import count_classes
from kattn.zoo.weights.saving import ABOUT

logger = logging.getLogger("kattn")

SUFFIXES = (".weights.h5", *FOREIGN_SUFFIXES)
TAG = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)?")
NOT_IN_TENSORS = ("input_shape", "channel_block")  # options whose numbers do not make tensors larger


@dataclass(frozen=True)
class Source:
    """Weights that were found, and what the model must be for them.

    Attributes:
        shown: What messages call them.
        path: The file.
        classes: Of the trained network; None where the file does not say.
        options: How the model must be built.
        mean, std: What the trained network normalised with; None for the model's own.
        dialect: Table of names of a file of another collection; None for the one that fits.
        stated: What is known of the trained network's classes and of how its images were resized.
    """

    shown: str
    path: Path
    classes: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    dialect: str | None = None
    stated: Stated = field(default_factory=Stated, hash=False)


def find_weights(
    weights: Any,
    model: str,
    given: Mapping[str, Any] | None = None,
    defaults: Mapping[str, Any] | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
) -> Source:
    """The file behind `weights=`, fetched where it must be, and what it asks of the model.

    Args:
        weights: A tag or a path.
        model: Name in the zoo.
        given: Options that the user set.
        defaults: The model's own options with their defaults, which published weights have where they say nothing.
        cache_dir: Where fetched files are kept.

    Raises: FileNotFoundError for a path that does not exist; ValueError for a tag that is not published, a file of
        another kind or model, or options that contradict it; OSError where it cannot be fetched.
    """
    if not isinstance(weights, str | os.PathLike):
        raise ValueError(f"weights must be None, a tag or a path. Received: weights={weights!r}")
    given, defaults = given or {}, defaults or {}
    text = str(os.fspath(weights))
    if TAG.fullmatch(text) and not text.endswith(SUFFIXES) and not Path(text).exists():
        return _published(text, model, given, defaults, cache_dir)
    path, shown = Path(text), f"weights={text!r}"
    if not path.is_file():
        raise FileNotFoundError(f"{shown}: there is no such file.")
    if not path.name.lower().endswith(SUFFIXES):
        raise ValueError(f"{shown}: a weights file ends in {', '.join(SUFFIXES)}.")
    if path.name.endswith(".weights.h5"):
        return _own(path, shown, model, given, defaults)
    if path.suffix == ".keras" or given.get("classes"):
        return Source(shown, path)
    with open_tensors(path) as tensors:
        return Source(shown, path, count_classes(tensors.shapes))


def _published(
    tag: str,
    model: str,
    given: Mapping[str, Any],
    defaults: Mapping[str, Any],
    cache_dir: str | os.PathLike[str] | None,
) -> Source:
    try:
        entry = manifest.find(model, tag)
    except ValueError as problem:
        raise OtherNetwork(str(problem)) from None
    defaults = {key: value for key, value in defaults.items() if key not in IN_TENSORS}
    recorded = {**defaults, "classifier_activation": "softmax", "mean": entry.mean, "std": entry.std, **entry.options}
    require_agreement(entry.tag, model, recorded, given, entry.classes)
    path = fetch(entry, cache_dir)
    if entry.options:
        built = ", ".join(f"{key}={value!r}" for key, value in entry.options.items())
        logger.info("%s: weights %s are of a network with %s; built so", model, entry.tag, built)
    shown, dialect, stated = f"weights={tag!r}", entry.dialect or None, Stated(labels=entry.labels)
    return Source(shown, path, entry.classes, entry.options, entry.mean, entry.std, dialect, stated)


def is_of(weights: Any, model: str, attention: tuple[str, ...]) -> bool:
    """Whether weights are a file of this very model, with `start="identity"`, and not of its plain twin."""
    path = Path(weights) if isinstance(weights, str | os.PathLike) else Path()
    if not path.name.endswith(".weights.h5") or not path.is_file():
        return False
    with open_hdf5(path, f"weights={str(path)!r}") as content:
        text = content.attributes().get(ABOUT)
    try:
        name, options, _ = _read_about(text)
    except (ValueError, TypeError, RecursionError):  # reading it as the plain network's says what is wrong
        return False
    return name == model and options.get("start") is not None and options.get(OWN_ATTENTION, ()) == attention


def _own(path: Path, shown: str, model: str, given: Mapping[str, Any], defaults: Mapping[str, Any]) -> Source:
    """A file of kattn's, and what it says of its model."""
    with open_hdf5(path, shown) as content:
        text, shapes = content.attributes().get(ABOUT), content.shapes
    if text is None:
        return Source(shown, path)
    try:
        name, options, facts = _read_about(text)
    except (ValueError, TypeError, RecursionError) as problem:
        raise ValueError(f"{shown}: what the file says of its model is damaged: {problem}. Get it anew.") from None
    if name not in (None, model):
        own = ", ".join(map(str, options.get(OWN_ATTENTION, ())))
        raise OtherNetwork(f"{shown} do not belong to {model}: they are of {name}{f' with {own}' if own else ''}.")
    options.setdefault(OWN_ATTENTION, ())
    classes, mean, std = (options.pop(key, None) for key in ("classes", "mean", "std"))
    _require_tensors(shown, classes, options, shapes)
    recorded = {key: defaults.get(key) if value is None else value for key, value in options.items()}
    require_agreement(path.name, model, {**recorded, "mean": mean, "std": std}, given, classes)
    return Source(shown, path, classes, options, mean, std, stated=stated_in(facts))


def _read_about(text: Any) -> tuple[str | None, dict[str, Any], Any]:
    """The model's name, its options, and a record of what is known of it.

    Raises: ValueError for options that are anything else than names, numbers and lists of them.
    """
    about = json.loads(text)
    if not isinstance(about, dict) or not isinstance(about.get("options", {}), dict):
        raise ValueError("it is no table of options")
    stored = about.get("options", {})
    options = {key: tuple(value) if isinstance(value, list) else value for key, value in stored.items()}
    for key, value in options.items():
        plain = all(one is None or isinstance(one, str | bool | int | float) for one in _flat(value))
        if not plain or not all(math.isfinite(number) for number in _numbers(value)):
            raise ValueError(f"{key} is {str(value)[:40]}")
    for key in ("mean", "std"):
        if options.get(key) is not None and len(_numbers(options[key])) != 3:
            raise ValueError(f"{key} is {str(options[key])[:40]}, not three numbers")
    return about.get("model"), options, about.get("facts")


def _require_tensors(shown: str, classes: Any, options: Mapping[str, Any], shapes: Mapping[str, Shape]) -> None:
    """Refuse options that would build a network far larger than the one whose tensors the file holds."""
    if classes is not None and (type(classes) is not int or not any(classes in shape for shape in shapes.values())):
        raise ValueError(f"{shown}: the file says that it has {classes!r} classes, but no tensor in it has so many.")
    largest = max((size for shape in shapes.values() for size in shape), default=0)
    largest = max(largest, len(shapes))  # of a layer, and of layers
    for key, value in options.items():
        if key not in NOT_IN_TENSORS and any(abs(number) > largest for number in _numbers(value)):
            raise ValueError(
                f"{shown}: the file says that it is of a network with {key}={value!r}, but it holds {len(shapes)} "
                f"tensors of lengths up to {largest}."
            )


def _flat(value: Any) -> Iterator[Any]:
    for one in value if isinstance(value, list | tuple) else (value,):
        if isinstance(one, list | tuple):
            yield from _flat(one)
        else:
            yield one


def _numbers(value: Any) -> list[float]:
    return [one for one in _flat(value) if isinstance(one, int | float) and not isinstance(one, bool)]
