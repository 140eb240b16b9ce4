"""Weights into a model, strictly: every stored tensor has its place, or nothing is loaded.

Files of kattn are Keras's own (`.weights.h5`, `.keras`); those of other collections go through `assigning.py`.
"""

from __future__ import annotations

import contextlib
import logging
import math
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import keras

from kattn.hdf5 import MemoryFile, largest_content, open_hdf5
from kattn.zoo.weights.agreement import OtherNetwork
from kattn.zoo.weights.assigning import load_tensors
from kattn.zoo.weights.files.keras_files import weights_of_archive
from kattn.zoo.weights.finding import Source, find_weights
from kattn.zoo.weights.naming.layouts import Shape, differs_only_in
from kattn.zoo.weights.naming.recognition import HEAD
from kattn.zoo.weights.pairing import listing

logger = logging.getLogger("kattn")

HEAD_LAYERS = (  # what depends on the number of classes
    HEAD,
    "attention_branch",
    "auxiliary_logits",
    "position_logits",
    "channel_logits",
    "context_encoding",
)


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
    left_out: list[str] = []
    if found.path.name.endswith(".keras"):
        # Only the weights are read: nothing of the archive's configuration is executed.
        limit = largest_content(4 * sum(map(math.prod, _shapes(model))))  # an optimiser keeps copies
        new = _load(model, weights_of_archive(found.path, limit), found.shown, name, include_top)
    elif found.path.name.endswith(".weights.h5"):
        new = _load(model, found.path, found.shown, name, include_top)
    else:
        adaptable = dict.fromkeys(HEAD_LAYERS, -1) | {_first_layer(model): -2}
        plan = load_tensors(
            model, found.path, dialect=found.dialect, shown=found.shown, adaptable=adaptable, include_top=include_top
        )
        new, left_out = plan.renewed, plan.left_out
    if new or left_out:
        parts = [f"new layers {', '.join(sorted(new))} (other classes or channels than {found.shown}, or not in it)"]
        logger.warning("%s: %s", name, "; ".join([*(parts if new else []), *listing("left out of the file", left_out)]))


def _first_layer(model: keras.Model) -> str:
    return next(layer.name for layer in model.layers if layer.weights)


def _shapes(model: keras.Model) -> list[Shape]:
    return [tuple(weight.shape) for weight in model.weights]


def _load(model: keras.Model, file: Path | MemoryFile, shown: str, name: str, include_top: bool) -> set[str]:
    """Load Keras's own file. Returns the layers that stay new."""
    stored = _stored(file, shown)
    # Where the shapes are those of the model, Keras most likely finds every tensor by its name. Otherwise the model is
    # written out, to learn its names, and compared; that also says why Keras failed.
    if include_top and sorted(stored.values()) == sorted(_shapes(model)):
        with contextlib.suppress(ValueError), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.load_weights(file)
            return set()
    own = MemoryFile()
    model.save_weights(own)
    wanted = _stored(own, "the model")
    missing, unexpected = sorted(wanted.keys() - stored.keys()), sorted(stored.keys() - wanted.keys())
    differing = {key: (stored[key], wanted[key]) for key in wanted.keys() & stored.keys() if wanted[key] != stored[key]}
    names = _layer_names(model)
    layers = {key: names.get(key.split("/")[1], key) for key in wanted}
    if not include_top and all(re.match(r"layers/dense(_\d+)?/", key) for key in unexpected):
        unexpected = []
    if missing or unexpected or not _may_differ(differing, layers, _first_layer(model)):
        shapes = [f"{key}: file {theirs}, model {ours}" for key, (theirs, ours) in sorted(differing.items())]
        lines = [f"{shown} do not belong to {name}."]
        lines += listing("missing in the file", missing, most=5)
        lines += listing("not in the model", unexpected, most=5)
        lines += listing("of another shape", shapes, most=5)
        if 2 * len(missing) > len(wanted):
            lines.append(f"Weights of another collection: kattn.zoo.convert(file, {name!r}).")
        raise OtherNetwork("\n  ".join(lines))
    groups = {
        key.rpartition("/")[0] for key in differing
    }  # a group holds one layer's variables; it stays new as a whole
    with open_hdf5(file, shown) as content, h5py.File(own, "r+") as values:
        for key in wanted:
            if key.rpartition("/")[0] not in groups:
                values[key][...] = content.read(key)
    model.load_weights(own)
    return {layers[key] for key in differing}


def _may_differ(differing: Mapping[str, tuple[Shape, Shape]], layers: Mapping[str, str], first: str) -> bool:
    """Whether the file differs only in the input channels of the first layer and in the number of classes."""
    classes: set[tuple[int, int]] = set()
    inside: set[tuple[int, int]] = set()  # of layers that have the number of classes in several places
    for key, (theirs, ours) in differing.items():
        pairs = {pair for pair in zip(theirs, ours, strict=False) if pair[0] != pair[1]}
        if layers[key] in HEAD_LAYERS and not layers[key].endswith(HEAD) and len(theirs) == len(ours):
            inside |= pairs
        elif layers[key] in HEAD_LAYERS and differs_only_in(-1, theirs, ours, "keras"):
            classes |= pairs
        elif layers[key] != first or not differs_only_in(-2, theirs, ours, "keras"):
            return False
    return len(classes) <= 1 and inside <= classes


def _stored(file: Path | MemoryFile, shown: str) -> dict[str, Shape]:
    with open_hdf5(file, shown) as content:
        return {path: shape for path, shape in content.shapes.items() if not path.startswith("optimizer/")}


def _layer_names(model: keras.Model) -> dict[str, str]:
    """The model's layers by the names that Keras gives them in a file: conv2d_3 is the fourth Conv2D."""
    counts: dict[str, int] = {}
    names: dict[str, str] = {}
    for layer in model.layers:
        base = _snake_case(type(layer).__name__)
        number = counts.get(base, 0)
        names[f"{base}_{number}" if number else base] = layer.name
        counts[base] = number + 1
    return names


def _snake_case(name: str) -> str:
    """As Keras names stored layers: SqueezeExcite -> squeeze_excite, Conv2D -> conv2d."""
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)).lower()
