"""Weights files of kattn: Keras's own, which also remember how the model was built."""

from __future__ import annotations

import io
import json
import os
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from kattn.facts.of_model import known_of
from kattn.files import make_folder, write_bytes
from kattn.hdf5 import MemoryFile

ABOUT = "kattn"  # attribute of a weights file: how the model was built, as JSON


_built: weakref.WeakKeyDictionary[Any, dict[str, Any]] = weakref.WeakKeyDictionary()


def remember_built(model: keras.Model, name: str, options: Mapping[str, Any]) -> None:
    """Keep how a model of the zoo was built as long as it is in memory; of the options what JSON can hold."""
    plain = {key: value for key, value in options.items() if _is_plain(value)}
    _built[model] = {"model": name, "options": plain}


def remember_options(model: keras.Model, options: Mapping[str, Any]) -> None:
    """Add options to how a model of the zoo was built: those that change no number, such as the size of its images."""
    if model in _built:
        known = _built[model]
        remember_built(model, known["model"], {**options, **known["options"]})


def built_with(model: keras.Model) -> dict[str, Any]:
    """The options of a model that a builder of the zoo gave in this process; empty for any other."""
    return dict(_built[model]["options"]) if model in _built else {}


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, str | bool | int | float)


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
            "classes", "mean" and "std" are those of the training. None: of a model that a builder of the zoo gave in
            this process, its name and all its options. What is known of the model's classes and of how its images are
            resized (`kattn.describe`) is written too.

    Returns: The path.
    Raises: ValueError for another suffix, or a kernel whose values half precision cannot hold; OSError where the file
        cannot be written.
    """
    path = Path(path)
    if not path.name.endswith(".weights.h5"):
        raise ValueError(f"path must end in .weights.h5. Received: path={str(path)!r}")
    memory: io.BytesIO = MemoryFile()
    model.save_weights(memory)
    if half:
        whole, memory = memory, io.BytesIO()
        with h5py.File(whole, "r") as file, h5py.File(memory, "w") as copy:
            _halve(file, copy)
    if attributes := about_of(model, about):
        with h5py.File(memory, "r+") as file:
            file.attrs.update(attributes)
    make_folder(path.parent)
    write_bytes(path, memory.getvalue())
    return path


def about_of(model: keras.Model, about: Mapping[str, Any] | None = None) -> dict[str, str]:
    """The attribute of a weights file that says how its model was built, and what is known of it.

    Args:
        model: The model.
        about: As in `save_weights`.

    Returns: {name: JSON}; empty where nothing is known.
    """
    facts, about = recorded_of(model), _built.get(model) if about is None else about
    if about is None and not facts:
        return {}
    return {ABOUT: json.dumps({**(about or {}), **({"facts": facts} if facts else {})})}


def recorded_of(model: keras.Model) -> dict[str, Any]:
    """What is remembered of a model, as JSON holds it: that of its run, or of the weights it was built with."""
    known = known_of(model)
    return known.stated.record() if known else {}


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
