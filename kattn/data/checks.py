"""Images and labels are checked as they come in, and data sets against what the model takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from kattn.data.dataset import Dataset, Split
from kattn.data.errors import DataError
from kattn.data.stored import StoredImages
from kattn.suggest import unknown

# What the labels are: a row of TARGETS, or a function of the labels that says it; None for classes or attributes.
Targets = str | Callable[[np.ndarray], str] | None
VOID = 255  # of a pixel that has no label, in maps of classes


def checked_split(
    images: Any,
    labels: Any,
    where: str,
    classes: int | None = None,
    any_values: bool = False,
    targets: Targets = None,
) -> Split:
    """Images and labels as the interface wants them, or an error that says what is wrong with them.

    With `any_values` images that are no bytes are kept as float32.
    """
    images, labels = images if isinstance(images, StoredImages) else np.asarray(images), np.asarray(labels)
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or images.shape[-1] not in (1, 3, 4):
        raise DataError(
            f"{where}: images are (images, height, width, channels) with 1, 3 or 4 channels. "
            f"Received: shape {images.shape}"
        )
    if images.dtype != np.uint8:
        images = _as_float32(images, where) if any_values else _as_uint8(images, where)
    kind = targets(labels) if callable(targets) else targets
    if kind is not None and kind not in TARGETS:
        raise unknown("kind of targets", kind, TARGETS)
    labels = TARGETS[kind or _targets_of(labels)](labels, where, kind is not None)
    if len(images) != len(labels):
        raise DataError(f"{where}: {len(images)} images but {len(labels)} labels.")
    if not len(images):
        raise DataError(f"{where} is empty: there is nothing to work on.")
    check_labels(labels, classes, where)
    return Split(images, labels)


def _targets_of(labels: np.ndarray) -> str:
    """What labels are where nobody says it: rows of 0 and 1 are attributes, anything else has to be classes."""
    several = labels.ndim == 2 and labels.shape[1] > 1
    return "attributes" if several and (labels.dtype == bool or np.isin(labels, (0, 1)).all()) else "classes"


def _whole(labels: np.ndarray, stated: bool) -> bool:
    """Whether labels are whole numbers; 0.0 and 1.0 count where it is known that they are classes."""
    if np.issubdtype(labels.dtype, np.integer):
        return True
    return stated and (labels.dtype == bool or (labels.dtype.kind == "f" and bool((labels == np.round(labels)).all())))


def _classes(labels: np.ndarray, where: str, stated: bool) -> np.ndarray:
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 2 and np.isin(labels, (0, 1)).all() and (labels.sum(axis=1) == 1).all():
        raise DataError(ONE_HOT.format(where=where))
    if labels.ndim != 1 or not _whole(labels, stated):
        raise DataError(
            f"{where}: labels are class numbers, one integer an image, or rows of 0 and 1, one number an attribute. "
            f"Received: shape {labels.shape}, {labels.dtype}"
        )
    return labels.astype("int32")


def _attributes(labels: np.ndarray, where: str, stated: bool) -> np.ndarray:
    if labels.ndim != 2 or not (labels.dtype == bool or np.isin(labels, (0, 1)).all()):
        raise DataError(
            f"{where}: labels of attributes are rows of 0 and 1, one number an attribute. "
            f"Received: shape {labels.shape}, {labels.dtype}"
        )
    if not stated and (labels.sum(axis=1) == 1).all():
        raise DataError(ONE_HOT.format(where=where))
    return labels.astype("uint8")


def _values(labels: np.ndarray, where: str, stated: bool) -> np.ndarray:
    if labels.dtype.kind not in "uif" or not labels.ndim or not np.isfinite(labels).all():
        raise DataError(
            f"{where}: the values of a regression are finite numbers, (images,) or (images, values). "
            f"Received: shape {labels.shape}, {labels.dtype}"
        )
    return (labels[:, None] if labels.ndim == 1 else labels).astype("float32")


def _map(labels: np.ndarray, where: str, stated: bool) -> np.ndarray:
    if labels.ndim == 4 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    if labels.ndim != 3 or not _whole(labels, stated):
        raise DataError(
            f"{where}: the labels of a map are class numbers, one integer a pixel, (images, height, width); {VOID} "
            f"where there is none. Received: shape {labels.shape}, {labels.dtype}"
        )
    return labels.astype("int32")


ONE_HOT = "{where}: each row of labels has one 1: these are one-hot rows. Pass class numbers, labels.argmax(axis=1)."
# What labels can be -> (labels, where they are from, whether it is known that they are this) to labels, checked.
TARGETS: dict[str, Callable[[np.ndarray, str, bool], np.ndarray]] = {
    "classes": _classes,
    "attributes": _attributes,
    "values": _values,
    "map": _map,
}


def check_labels(labels: np.ndarray, classes: int | None, where: str) -> None:
    """Raise where a label is negative or not below the number of classes, or rows are not as long as that."""
    if labels.ndim == 2 or labels.dtype.kind == "f":
        if classes is not None and labels.shape[-1] != classes:
            what = "values" if labels.dtype.kind == "f" else "attributes"
            raise DataError(f"{where}: {labels.shape[-1]} {what} an image, the model has {classes} outputs.")
        return
    bad = (labels < 0) | (labels >= classes) if classes is not None else labels < 0
    if labels.ndim == 3:
        bad = (bad & (labels != VOID)).any(axis=(1, 2))
    wrong = np.flatnonzero(bad)
    if len(wrong):
        expected = f"0 to {classes - 1}" if classes is not None else "0 and above"
        worst = labels[wrong[0]]
        found = worst if labels.ndim == 1 else worst.min() if worst.min() < 0 else worst[worst != VOID].max()
        raise DataError(
            f"{where}: label {found} of image {wrong[0]} is out of range, labels are {expected} "
            f"({len(wrong)} of {len(labels)} images)."
        )


def check_dataset(
    dataset: Dataset, size: Any, channels: int | None, classes: int | None, splits: Sequence[str]
) -> Dataset:
    """The data set, compared with what the model takes; classes that only the model has are named by their numbers.

    Raises: DataError for a wanted split without images, labels beyond the model's classes, and images of other shapes.
    """
    for name in splits:
        part = getattr(dataset, name)
        if not len(part) and name != "validation":
            raise DataError(f"The {name} split of {dataset.name} is empty: there is nothing to work on.")
        limit = len(dataset.class_names) if classes is None else classes
        check_labels(part.labels, limit, f"{dataset.name} ({name})")
    shapes = {part.images.shape[1:] for part in dataset.parts() if len(part)}
    if len(shapes) > 1:
        raise DataError(f"The splits of {dataset.name} hold images of different shapes: {sorted(shapes)}.")
    height, width, depth = dataset.image_shape
    if size is not None and (height, width) != tuple(size):
        raise DataError(
            f"{dataset.name} has images of {height}x{width}, the model takes {size[0]}x{size[1]}. Resize the arrays, "
            "or build the model with their input_shape."
        )
    if channels is not None and depth != channels:
        raise DataError(f"{dataset.name} has images of {depth} channels, the model takes {channels}.")
    if classes is not None and classes > len(dataset.class_names):
        extra = tuple(str(i) for i in range(len(dataset.class_names), classes))
        dataset = replace(dataset, class_names=dataset.class_names + extra)
    return dataset


def _as_float32(images: np.ndarray, where: str) -> np.ndarray:
    if images.dtype.kind not in "uif" or not np.isfinite(images).all():
        raise DataError(f"{where}: images must be finite numbers. Received: {images.dtype}")
    return images.astype("float32")


def _as_uint8(images: np.ndarray, where: str) -> np.ndarray:
    if np.issubdtype(images.dtype, np.integer) and len(images) and images.min() >= 0 and images.max() <= 255:
        return images.astype("uint8")
    span = f"{images.min():.4g} to {images.max():.4g}" if images.size else "nothing"
    raise DataError(
        f"{where}: the networks take raw pixels, uint8 0-255, and normalise them inside. Received: {images.dtype}, "
        f"{span}. Images in 0-1: (images * 255).round().astype('uint8')."
    )
