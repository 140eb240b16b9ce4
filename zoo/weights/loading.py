"""`weights=`: a tag of published weights or a file, strictly: every stored tensor has its place, or nothing is loaded.

Files of kattn are Keras's own (`.weights.h5`, `.keras`); those that `save_weights` and `convert` write also remember
how the model was built and normalised. Files of other collections go through `conversion.py`.
"""

from __future__ import annotations

import json
import logging
import os
import re
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from kattn.zoo.weights import manifest
from kattn.zoo.weights import pairing as conversion
from kattn.zoo.weights.archive import ArchiveError, ArchiveTooLarge, take_out
from kattn.zoo.weights.download import fetch
from kattn.zoo.weights.foreign_files import SUFFIXES as FOREIGN_SUFFIXES
from kattn.zoo.weights.foreign_files import open_tensors, readable_hdf5

logger = logging.getLogger("kattn")

HEAD_LAYERS = (  # what depends on the number of classes
    "logits",
    "attention_branch",
    "auxiliary_logits",
    "position_logits",
    "channel_logits",
    "context_encoding",
)
OWN_SUFFIXES = (".weights.h5", ".keras")
SUFFIXES = (*OWN_SUFFIXES, *FOREIGN_SUFFIXES)
TAG = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)?")
ABOUT = "kattn"  # attribute of a weights file: how the model was built, as JSON


@dataclass(frozen=True)
class Source:
    """Weights that were found, and what the model must be for them.

    Attributes:
        shown: What messages call them.
        path: The file.
        classes: Of the trained network; None where the file does not tell.
        options: How the model must be built.
        mean, std: What the trained network normalised with; None: the model's own.
        dialect: Table of names of a foreign file; None finds it.
    """

    shown: str
    path: Path
    classes: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    dialect: str | None = None


def find_weights(
    weights: Any,
    model: str,
    given: Mapping[str, Any] | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
) -> Source:
    """The file behind `weights=`, fetched where it must be, and what it asks of the model.

    Args:
        weights: A tag or a path.
        model: Name in the zoo.
        given: Options that the user set.
        cache_dir: Where fetched files are kept.

    Raises: FileNotFoundError for a path that does not exist; ValueError for a tag that is not published, a file of
        another kind or model, or options that contradict it; OSError where it cannot be fetched.
    """
    if not isinstance(weights, str | os.PathLike):
        raise ValueError(f"weights must be None, a tag or a path. Received: weights={weights!r}")
    text = str(os.fspath(weights))
    if TAG.fullmatch(text) and not text.endswith(SUFFIXES) and not Path(text).exists():
        entry = manifest.find(model, text)
        _agree(entry.tag, model, entry.options, given or {})
        path = fetch(entry, cache_dir)
        if entry.options:
            built = ", ".join(f"{key}={value!r}" for key, value in entry.options.items())
            logger.info("%s: weights %s are of a network with %s; built so", model, entry.tag, built)
        return Source(
            f"weights={text!r}", path, entry.classes, entry.options, entry.mean, entry.std, entry.dialect or None
        )
    path, shown = Path(text), f"weights={text!r}"
    if not path.is_file():
        raise FileNotFoundError(f"{shown}: there is no such file.")
    if not path.name.lower().endswith(SUFFIXES):
        raise ValueError(f"{shown}: a weights file ends in {', '.join(SUFFIXES)}.")
    if path.name.endswith(".weights.h5"):
        about = _about(path)
        if about.get("model", model) != model:
            raise ValueError(f"{shown} do not belong to {model}: they are of {about['model']}.")
        options = {k: tuple(v) if isinstance(v, list) else v for k, v in about.get("options", {}).items()}
        classes: Any = options.pop("classes", None)
        mean, std = options.pop("mean", None), options.pop("std", None)
        _agree(path.name, model, options, given or {})
        return Source(shown, path, classes, options, mean, std)
    if path.suffix == ".keras":
        return Source(shown, path)
    with open_tensors(path) as tensors:
        return Source(shown, path, conversion.classes_of(tensors))


def _agree(shown: str, model: str, wanted: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    def plain(value: Any) -> Any:
        return list(value) if isinstance(value, tuple) else value

    for key, value in wanted.items():
        if key in given and plain(given[key]) != plain(value):
            raise ValueError(
                f"{model}: the weights {shown} are of a network with {key}={value!r}. Received: {key}={given[key]!r}; "
                "leave it out, or use other weights."
            )


def _about(path: Path) -> dict[str, Any]:
    with readable_hdf5(path) as file:
        text = file.attrs.get(ABOUT)
    about = json.loads(text) if text is not None else {}
    return about if isinstance(about, dict) else {}


def load_weights(model: keras.Model, source: Any, name: str, *, include_top: bool = True) -> None:
    """Load weights into a model just built.

    A file of the same network with another number of classes or input channels loads too: those layers stay new, and
    one log line says which.

    Args:
        model: Its values are lost.
        source: A path or a tag, or what `find_weights` gave.
        name: What messages call the model.
        include_top: False lets the file have a head that the model does not.

    Raises: FileNotFoundError for a path that does not exist; ValueError for a tag that is not published, a file of
        another kind, or weights of another model.
    """
    found = source if isinstance(source, Source) else find_weights(source, name)
    fresh: set[str]
    if found.path.name.endswith(".keras"):
        with tempfile.TemporaryDirectory() as folder:
            path = _weights_of_archive(found.path, Path(folder), model)
            fresh = _load(model, path, found.shown, name, include_top)
    elif found.path.name.endswith(".weights.h5"):
        fresh = _load(model, found.path, found.shown, name, include_top)
    else:
        fresh = conversion.load_tensors(
            model,
            found.path,
            dialect=found.dialect,
            shown=found.shown,
            adaptable=_adaptable(model),
            include_top=include_top,
        ).renewed
    if fresh:
        new = ", ".join(sorted(fresh))
        logger.warning("%s: new layers %s (other classes or channels than %s)", name, new, found.shown)


def _adaptable(model: keras.Model) -> set[str]:
    first = next(layer.name for layer in model.layers if layer.weights)
    return {layer.name for layer in model.layers if layer.name in HEAD_LAYERS} | {first}


def _weights_of_archive(path: Path, folder: Path, model: keras.Model) -> Path:
    # Only the weights are read: nothing of the archive's configuration is executed.
    limit = 16 * sum(weight.nbytes for weight in _numbers(model)) + (64 << 20)  # an optimiser keeps copies
    target = folder / "model.weights.h5"
    try:
        take_out(path, target.name, target, limit)
    except ArchiveTooLarge:
        raise ValueError(f"weights={str(path)!r} swells far beyond this model's size; not loaded.") from None
    except ArchiveError as problem:
        raise ValueError(f"weights={str(path)!r} is not a .keras archive with weights: {problem}") from None
    return target


@dataclass(frozen=True)
class _Number:
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64)) * 4


def _numbers(model: keras.Model) -> list[_Number]:
    return [_Number(tuple(weight.shape)) for weight in model.weights]


def _load(model: keras.Model, path: Path, shown: str, name: str, include_top: bool) -> set[str]:
    try:
        stored = _shapes(path)
    except ValueError as problem:
        raise ValueError(f"{shown}: {problem}") from None
    # As many tensors of each shape as the model has: then Keras, which asks for every one by its name, says the rest
    # without our writing the model out to learn its names.
    if include_top and sorted(stored.values()) == sorted(one.shape for one in _numbers(model)):
        try:
            model.load_weights(path)
            return set()
        except ValueError:
            pass  # the comparison below says what differs
    return _load_what_fits(model, path, stored, shown, name, include_top)


def _load_what_fits(
    model: keras.Model, path: Path, stored: dict[str, tuple[int, ...]], shown: str, name: str, include_top: bool
) -> set[str]:
    with tempfile.TemporaryDirectory() as folder:
        own = Path(folder) / "own.weights.h5"
        model.save_weights(own)
        wanted = _shapes(own)
    missing, unexpected = sorted(wanted.keys() - stored.keys()), sorted(stored.keys() - wanted.keys())
    differing = sorted(key for key in wanted.keys() & stored.keys() if wanted[key] != stored[key])
    fresh = _layers_of(model, differing)
    if not include_top and all(re.match(r"layers/dense(_\d+)?/", key) for key in unexpected):
        unexpected = []
    if missing or unexpected or not fresh <= _adaptable(model):
        lines = [f"{shown} do not belong to {name}."]
        lines += conversion.listing("missing in the file", missing, most=5)
        lines += conversion.listing("not in the model", unexpected, most=5)
        shapes = [f"{k}: file {stored[k]}, model {wanted[k]}" for k in differing]
        lines += conversion.listing("of another shape", shapes, most=5)
        raise ValueError("\n  ".join(lines))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras warns of each layer that is left new; the caller's log says it once
        model.load_weights(path, skip_mismatch=bool(fresh))
    return fresh


def _shapes(path: Path) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}

    def note(key: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and not key.startswith("optimizer/"):
            shapes[key] = tuple(item.shape)

    with readable_hdf5(path) as file:
        file.visititems(note)
    return shapes


def _layers_of(model: keras.Model, keys: list[str]) -> set[str]:
    """Layers behind stored keys such as layers/conv2d_3/vars/0, numbered by class in order of construction."""
    counts: dict[str, int] = {}
    stored: dict[str, str] = {}
    for layer in model.layers:
        base = _snake_case(type(layer).__name__)
        number = counts.get(base, 0)
        stored[f"{base}_{number}" if number else base] = layer.name
        counts[base] = number + 1
    return {stored.get(key.split("/")[1], key) for key in keys}


def _snake_case(name: str) -> str:
    """As Keras names stored layers: SqueezeExcite -> squeeze_excite, Conv2D -> conv2d."""
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)).lower()


def save_weights(
    model: keras.Model, path: str | os.PathLike[str], *, half: bool = False, about: Mapping[str, Any] | None = None
) -> Path:
    """Write a model's weights, whole or not at all; `model.load_weights(path)` reads them in any Keras.

    Args:
        model: Any Keras model.
        path: Ending in `.weights.h5`.
        half: Store kernels as float16, which halves the file. Vectors (biases, normalisations) stay as they are: a
            variance can be too large or too small for half precision.
        about: What `weights=path` shall know: {"model": its name, "options": how it was built}; of the options,
            "classes", "mean" and "std" are those of the training.

    Raises: ValueError for another suffix, or a kernel whose values half precision cannot hold.
    """
    path = Path(path)
    if not path.name.endswith(".weights.h5"):
        raise ValueError(f"path must end in .weights.h5. Received: path={str(path)!r}")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".writing-") as folder:
        whole = Path(folder) / "whole.weights.h5"
        model.save_weights(whole)
        if half:
            smaller = Path(folder) / "half.weights.h5"
            with h5py.File(whole, "r") as file, h5py.File(smaller, "w") as copy:
                _halve(file, copy)
            whole = smaller
        if about is not None:
            with h5py.File(whole, "r+") as file:
                file.attrs[ABOUT] = json.dumps(about)
        os.replace(whole, path)
    return path


def _halve(group: h5py.Group, copy: h5py.Group) -> None:
    for key, value in group.attrs.items():
        copy.attrs[key] = value
    for key, item in group.items():
        if isinstance(item, h5py.Group):
            _halve(item, copy.create_group(key))
            continue
        value = item[()]
        if value.dtype == np.float32 and value.ndim > 1:
            if np.abs(value).max(initial=0) > np.finfo(np.float16).max:
                raise ValueError(f"{item.name} holds values beyond half precision; save with half=False.")
            value = value.astype(np.float16)
        stored = copy.create_dataset(key, data=value)
        for name, attribute in item.attrs.items():
            stored.attrs[name] = attribute
