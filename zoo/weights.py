"""Weights from files, strictly: every stored tensor has its place and its shape, or nothing is loaded."""

from __future__ import annotations

import logging
import re
import tempfile
import warnings
import zipfile
from pathlib import Path
from typing import Any

import h5py
import keras

logger = logging.getLogger("kattn")

HEAD_LAYERS = (  # what depends on the number of classes
    "logits",
    "attention_branch",
    "auxiliary_logits",
    "position_logits",
    "channel_logits",
    "context_encoding",
)
SUFFIXES = (".weights.h5", ".keras")


def load_weights(model: keras.Model, source: Any, name: str) -> None:
    """Load weights into a model just built, from a `.weights.h5` or `.keras` file.

    A file of the same network with another number of classes or input channels loads too: those layers stay new, and
    one log line says which.

    Raises: FileNotFoundError for a path that does not exist; ValueError for a tag that is not published, a file of
        another
        kind, or weights of another model.
    """
    path = Path(source)
    text = str(source)
    if not text.endswith(SUFFIXES) and not path.exists() and "/" not in text and "." not in text:
        raise ValueError(
            f"weights={text!r} does not exist for {name}; published: none. Use weights=None for random weights, "
            f"or a path ending in {' or '.join(SUFFIXES)}."
        )
    if not path.is_file():
        raise FileNotFoundError(f"weights={text!r}: there is no such file.")
    if not text.endswith(SUFFIXES):
        raise ValueError(f"weights={text!r}: a weights file ends in {' or '.join(SUFFIXES)}.")
    with tempfile.TemporaryDirectory() as folder:
        if text.endswith(".keras"):
            path = _weights_of_archive(path, Path(folder))
        _load(model, path, text, name)


def _weights_of_archive(path: Path, folder: Path) -> Path:
    # Only the weights are read: nothing of the archive's configuration is executed.
    try:
        with zipfile.ZipFile(path) as archive:
            target = folder / "model.weights.h5"
            with archive.open("model.weights.h5") as stored, target.open("wb") as copy:
                while chunk := stored.read(1 << 20):
                    copy.write(chunk)
            return target
    except (zipfile.BadZipFile, KeyError) as problem:
        raise ValueError(f"weights={str(path)!r} is not a .keras archive with weights: {problem}") from None


def _load(model: keras.Model, path: Path, shown: str, name: str) -> None:
    try:
        stored = _shapes(path)
    except OSError as problem:
        raise ValueError(f"weights={shown!r} is not a readable HDF5 file: {problem}") from None
    with tempfile.TemporaryDirectory() as folder:
        own = Path(folder) / "own.weights.h5"
        model.save_weights(own)
        wanted = _shapes(own)
    missing, unexpected = sorted(wanted.keys() - stored.keys()), sorted(stored.keys() - wanted.keys())
    differing = sorted(key for key in wanted.keys() & stored.keys() if wanted[key] != stored[key])
    fresh = _layers_of(model, differing)
    adaptable = {layer.name for layer in model.layers if layer.name in HEAD_LAYERS} | {_first_layer(model)}
    if missing or unexpected or not fresh <= adaptable:
        lines = [f"weights={shown!r} do not belong to {name}."]
        lines += _listing("missing in the file", missing)
        lines += _listing("not in the model", unexpected)
        lines += _listing("of another shape", [f"{k}: file {stored[k]}, model {wanted[k]}" for k in differing])
        raise ValueError("\n  ".join(lines))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras warns of each layer that is left new; the log line below says it once
        model.load_weights(path, skip_mismatch=bool(fresh))
    if fresh:
        logger.warning("%s: new layers %s (other classes or channels than %s)", name, ", ".join(sorted(fresh)), shown)


def _shapes(path: Path) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}

    def note(key: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and not key.startswith("optimizer/"):
            shapes[key] = tuple(item.shape)

    with h5py.File(path, "r") as file:
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


def _first_layer(model: keras.Model) -> str:
    return next(layer.name for layer in model.layers if layer.weights)


def _listing(title: str, entries: list[str], most: int = 5) -> list[str]:
    more = [f"... and {len(entries) - most} more"] if len(entries) > most else []
    return [f"{title}: {'; '.join([*entries[:most], *more])}"] if entries else []
