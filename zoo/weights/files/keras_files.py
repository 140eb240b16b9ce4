"""Tensors of Keras's files, by layer: `.h5` (weights of Keras 2, or a whole model), `.weights.h5` and `.keras`.

Only numbers and names are read. The configuration, from which Keras would build a model, is ignored.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from kattn.archive import ArchiveError, ArchiveTooLarge, copy_member
from kattn.hdf5 import Hdf5, MemoryFile, UnreadableFile, largest_content, open_hdf5

SUFFIXES = (".keras", ".h5", ".hdf5")
MEMBER = "model.weights.h5"  # of a .keras archive
# Keras 3 numbers a layer's variables: what the numbers mean, by kind of layer.
VARIABLES = {
    "conv2d": ("kernel", "bias"),
    "depthwise_conv2d": ("kernel", "bias"),
    "dense": ("kernel", "bias"),
    "batch_normalization": ("gamma", "beta", "moving_mean", "moving_variance"),
}


@contextlib.contextmanager
def open_keras(path: Path) -> Iterator[tuple[dict[str, tuple[int, ...]], Callable[[str], np.ndarray]]]:
    """The shapes by layer and variable ("conv1.kernel"), and what reads a tensor.

    Raises: ValueError for a file that is damaged or does not name its layers.
    """
    in_archive = path.name.lower().endswith(".keras")
    source = weights_of_archive(path, largest_content(path.stat().st_size)) if in_archive else path
    with open_hdf5(source, repr(str(path))) as content:
        try:
            names = _by_layer(content) or _by_number(content)
            shapes = {name: content.shapes[where] for name, where in names.items()}
        except (KeyError, TypeError, UnicodeDecodeError) as problem:
            raise UnreadableFile(
                f"{str(path)!r} does not hold the tensors that it names: {problem}. Get it anew."
            ) from None
        if not names:
            raise ValueError(
                f"{str(path)!r} does not name its layers. A .weights.h5 file loads into the model that wrote it; a "
                "model can be opened with Keras and saved anew as .keras."
            )
        yield shapes, lambda name: content.read(names[name])


def weights_of_archive(path: Path, limit: int) -> MemoryFile:
    """The weights of a `.keras` archive, in memory.

    Raises: ValueError for a broken archive, or weights of more bytes than `limit`.
    """
    memory = MemoryFile()
    try:
        copy_member(path, MEMBER, memory, limit)
    except ArchiveTooLarge:
        raise ValueError(f"{str(path)!r} swells to more than {limit >> 20} MB and was not loaded.") from None
    except ArchiveError as problem:
        raise ValueError(f"{str(path)!r} is not a .keras archive with weights: {problem}. Get it anew.") from None
    return memory


def _by_layer(content: Hdf5) -> dict[str, str]:
    """Name and path of each tensor in a file of Keras 2: each layer has a group, whose attribute lists its weights."""
    root = "model_weights" if "layer_names" in content.attributes("model_weights") else ""
    names = {}
    for layer in content.attributes(root or "/").get("layer_names", ()):
        group = f"{root}/{_text(layer)}".lstrip("/")
        for name in map(_text, content.attributes(group).get("weight_names", ())):
            names[name.split(":")[0].replace("/", ".")] = f"{group}/{name}"
    return names


def _by_number(content: Hdf5) -> dict[str, str]:
    """Name and path of each tensor in a file of Keras 3: its group has the layer's name, the tensors have numbers."""
    names: dict[str, str] = {}
    for path in content.shapes:
        group, _, number = path.rpartition("/")
        layer = content.attributes(group).get("name")
        if layer is None or path.startswith("optimizer/"):
            continue
        kind = re.sub(r"_\d+$", "", group.removesuffix("/vars").rpartition("/")[2])
        known = dict(enumerate(VARIABLES.get(kind, ())))
        name = f"{_text(layer)}.{known.get(int(number), number) if number.isdigit() else number}"
        names[name if name not in names else path.replace("/", ".")] = path
    return names


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
