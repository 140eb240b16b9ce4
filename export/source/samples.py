"""Images to calibrate and to compare on: from an array, a dataset, a folder, or made up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kattn.data.errors import DataError
from kattn.data.image_files import find_images
from kattn.data.images import Notes, read_image
from kattn.export.errors import ExportInputError


def collect(
    source: Any, shape: tuple[int, ...], *, limit: int, pixels: bool = False, what: str = "calibration"
) -> np.ndarray:
    """Up to `limit` images as one float32 array (images, height, width, channels).

    Args:
        source: An array of images; a folder of image files, with or without class folders, read as training reads them
            (`kattn.data.images.read_image`); or anything that gives images or batches one after the other, alone or as
            (images, labels) or {"image": ...}: a tf.data.Dataset, a keras PyDataset, a list, a generator.
        shape: Of one image.
        limit: Of an array or a folder, evenly spaced images are taken, so that sorted classes are all there; of others
            the first.
        pixels: The model normalises raw 0-255 pixels: images in 0..1 are a mistake.
        what: Names the argument in errors.

    Raises: ExportInputError for no images, another shape, no numbers, values that are not finite or all the same, or a
        range that the model does not take.
    """
    parts: list[np.ndarray] = []
    count = 0
    for part in _parts(source, shape, limit, what):
        batch = _batch(part, shape, what)
        parts.append(batch[: limit - count])
        count += len(parts[-1])
        if count >= limit:
            break
    if not count:
        raise ExportInputError(f"The {what} images are empty: {_describe(source)}. Give some hundred real ones.")
    images = np.concatenate(parts).astype("float32")
    if not np.isfinite(images).all():
        raise ExportInputError(f"The {what} images hold values that are not finite (NaN or infinite).")
    low, high = float(images.min()), float(images.max())
    if pixels and (low < 0 or high > 255 or 0 < high <= 1):
        raise ExportInputError(
            f"The {what} images lie between {low:g} and {high:g}; the model normalises raw pixels from 0 to 255 "
            "itself. Give them as they are read from a file."
        )
    if low == high:
        raise ExportInputError(f"The {what} images hold nothing but the value {low:g}. Give some hundred real ones.")
    return images


def made_up(count: int, shape: tuple[int, ...], *, pixels: bool, seed: int = 0) -> np.ndarray:
    """Random float32 images, smooth ones and noise by turns: pixels from 0 to 255, or numbers from -1 to 1."""
    random = np.random.default_rng(seed)
    images = random.uniform(0, 1, (count, *shape)).astype("float32")
    if len(shape) == 3:
        coarse = random.uniform(0, 1, (count, 4, 4, shape[2])).astype("float32")
        rows = np.linspace(0, 3.999, shape[0]).astype(int)
        columns = np.linspace(0, 3.999, shape[1]).astype(int)
        smooth = coarse[:, rows][:, :, columns]
        images[::2] = 0.8 * smooth[::2] + 0.2 * images[::2]
    return np.round(images * 255) if pixels else images * 2 - 1


def spans_pixels(images: np.ndarray) -> np.ndarray:
    """The same images, with 0 and 255 once in a corner: calibration then gives the input the whole range of pixels.

    Without this the quantised input's scale is that of the brightest calibration pixel, and brighter ones are clipped.
    """
    images = images.copy()
    images[0].reshape(-1)[0] = 0
    images[0].reshape(-1)[-1] = 255
    return images


def _parts(source: Any, shape: tuple[int, ...], limit: int, what: str) -> Iterator[Any]:
    if source is None:
        raise ExportInputError(
            f"No {what} images were given. Pass some hundred real ones: an array, a dataset or a folder. The ranges of "
            "the activations are read from them; random ones would give a file that fails on real images."
        )
    if isinstance(source, (str, Path)):
        yield _folder(Path(source), shape, limit, what)
    elif isinstance(source, (np.ndarray, np.generic)) or hasattr(source, "__array__"):
        array = np.asarray(source)
        if array.ndim == len(shape) + 1 and len(array) > limit:
            array = array[np.linspace(0, len(array) - 1, limit).round().astype(int)]
        if array.size:
            yield array
    elif isinstance(source, Mapping) or not (isinstance(source, Iterable) or hasattr(source, "__getitem__")):
        raise ExportInputError(
            f"The {what} images must be an array, a dataset or a folder. Received: {_describe(source)}"
        )
    elif hasattr(source, "__getitem__") and hasattr(source, "__len__") and not isinstance(source, (list, tuple)):
        for i in range(len(source)):  # a PyDataset iterates without end
            yield source[i]
    else:
        yield from source


def _folder(folder: Path, shape: tuple[int, ...], limit: int, what: str) -> np.ndarray:
    """Image files of a folder at the model's size, as training reads them."""
    if not folder.is_dir():
        problem = "is a file" if folder.exists() else "does not exist"
        raise ExportInputError(f"The folder of {what} images {problem}: {folder}")
    if len(shape) != 3:
        raise ExportInputError(f"A folder gives images; the model takes inputs of shape {shape}. Give an array.")
    notes = Notes(f"{what} images in {folder}")
    try:
        found = find_images(folder)
        if not found.images:
            raise ExportInputError(f"The folder of {what} images holds none: {folder}")
        found.log_others(folder)
        chosen = np.linspace(0, len(found.images) - 1, min(limit, len(found.images))).round().astype(int)
        images = [notes.add(read_image(found.images[i], shape[:2], shape[2])) for i in chosen]
    except DataError as error:
        raise ExportInputError(f"The {what} images cannot be used: {error}") from error
    notes.log()
    return np.stack(images)


def _batch(part: Any, shape: tuple[int, ...], what: str) -> np.ndarray:
    """The images of one element of a dataset, with a batch axis."""
    if isinstance(part, Mapping):
        if "image" not in part:
            raise ExportInputError(
                f'A dataset of dicts needs the key "image". Received: keys {", ".join(map(str, part))}'
            )
        part = part["image"]
    elif isinstance(part, (tuple, list)):
        part = part[0] if part else ()
    array = np.asarray(part)
    if array.dtype.kind not in "uif":
        raise ExportInputError(f"The {what} images must be numbers. Received: {array.dtype} ({_describe(part)})")
    if array.shape == shape:
        array = array[None]
    if array.shape[1:] != shape:
        received = array.shape[1:] if array.ndim == len(shape) + 1 else array.shape
        raise ExportInputError(f"The model takes images of shape {shape}. Received {what} images of shape {received}.")
    return array


def _describe(source: Any) -> str:
    shape = getattr(source, "shape", None)
    return type(source).__name__ + (f" of shape {tuple(shape)}" if isinstance(shape, tuple) else "")
