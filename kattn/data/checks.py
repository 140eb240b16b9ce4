"""Images and labels are checked as they come in, and data sets against what the model takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from kattn.data.dataset import Dataset, Split
from kattn.data.errors import DataError
from kattn.data.stored import StoredImages


def checked_split(images: Any, labels: Any, where: str, classes: int | None = None, any_values: bool = False) -> Split:
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
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    many = labels.ndim == 2 and (labels.dtype == bool or np.isin(labels, (0, 1)).all())
    if many and (labels.sum(axis=1) == 1).all():
        raise DataError(
            f"{where}: each row of labels has one 1: these are one-hot rows. Pass class numbers, labels.argmax(axis=1)."
        )
    if not many and (labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer)):
        raise DataError(
            f"{where}: labels are class numbers, one integer an image, or rows of 0 and 1, one number an attribute. "
            f"Received: shape {labels.shape}, {labels.dtype}"
        )
    if len(images) != len(labels):
        raise DataError(f"{where}: {len(images)} images but {len(labels)} labels.")
    if not len(images):
        raise DataError(f"{where} is empty: there is nothing to work on.")
    check_labels(labels, classes, where)
    return Split(images, labels.astype("uint8" if many else "int32"))


def check_labels(labels: np.ndarray, classes: int | None, where: str) -> None:
    """Raise where a label is negative or not below the number of classes, or rows are not as long as that."""
    if labels.ndim == 2:
        if classes is not None and labels.shape[1] != classes:
            raise DataError(f"{where}: {labels.shape[1]} attributes an image, the model has {classes} outputs.")
        return
    wrong = np.flatnonzero((labels < 0) | (labels >= classes) if classes is not None else labels < 0)
    if len(wrong):
        expected = f"0 to {classes - 1}" if classes is not None else "0 and above"
        raise DataError(
            f"{where}: label {labels[wrong[0]]} of image {wrong[0]} is out of range, labels are {expected} "
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
