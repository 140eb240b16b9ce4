"""Images to calibrate and to compare on: from an array, a dataset or a folder."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kattn.data.errors import DataError
from kattn.data.image_files import find_images
from kattn.data.images import Notes, read_image
from kattn.export.errors import ExportInputError
from kattn.facts.description import Input
from kattn.facts.pixels import as_input, require_range, to_input


def collect(
    source: Any,
    shape: tuple[int, ...],
    *,
    limit: int,
    given: Input | None = None,
    model: str = "the model",
    what: str = "calibration",
) -> np.ndarray:
    """Up to `limit` images as one float32 array (images, height, width, channels).

    Args:
        source: An array of images, which is taken as it is; a folder of image files, with or without class folders,
            read as training reads them (`kattn.data.images.read_image`) and brought to the range that the model takes;
            or anything that gives images or batches one after the other, alone or as (images, labels) or
            {"image": ...}: a tf.data.Dataset, a keras PyDataset, a list, a generator.
        shape: Of one image.
        limit: Of an array or a folder, evenly spaced images are taken, so that sorted classes are all there; of others
            the first.
        given: What is known of the model's input; None gives the pixels of files as they are.
        model: What messages call the model.
        what: Names the argument in errors.

    Raises: ExportInputError for no images, another shape, no numbers, values that are not finite or all the same,
        values that the model is known not to take, and files for a model whose range is not known.
    """
    parts: list[np.ndarray] = []
    count = 0
    for part in _parts(source, shape, limit, what, given, model):
        batch = _batch(part, shape, what)
        parts.append(batch[: limit - count])
        count += len(parts[-1])
        if count >= limit:
            break
    if not count:
        raise ExportInputError(f"The {what} images are empty: {_describe(source)}. Give some hundred real ones.")
    images = np.concatenate(parts)
    if given is not None and not isinstance(source, (str, Path)):
        with _input_errors():
            images = as_input(images, given, model, f"{what} ")
    images = images.astype("float32")
    if not np.isfinite(images).all():
        raise ExportInputError(f"The {what} images hold values that are not finite (NaN or infinite).")
    low, high = float(images.min()), float(images.max())
    if low == high:
        raise ExportInputError(f"The {what} images hold nothing but the value {low:g}. Give some hundred real ones.")
    return images


def spanned(images: np.ndarray, value_range: tuple[float, float] | None) -> np.ndarray:
    """The same images, with the ends of a range once in a corner: calibration then gives the input the whole range.

    Without this the quantised input's scale is that of the brightest calibration pixel, and brighter ones are clipped.
    """
    if value_range is None:
        return images
    images = images.copy()
    images[0].reshape(-1)[0], images[0].reshape(-1)[-1] = value_range
    return images


def _parts(
    source: Any, shape: tuple[int, ...], limit: int, what: str, given: Input | None, model: str
) -> Iterator[Any]:
    if source is None:
        raise ExportInputError(
            f"No {what} images were given. Pass some hundred real ones: an array, a dataset or a folder. The ranges of "
            "the activations are read from them; random ones would give a file that fails on real images."
        )
    if isinstance(source, (str, Path)):
        yield _folder(Path(source), shape, limit, what, given, model)
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


def _folder(folder: Path, shape: tuple[int, ...], limit: int, what: str, given: Input | None, model: str) -> np.ndarray:
    """Image files of a folder at the model's size and in its range, as training reads them."""
    if not folder.is_dir():
        problem = "is a file" if folder.exists() else "does not exist"
        raise ExportInputError(f"The folder of {what} images {problem}: {folder}")
    if len(shape) != 3:
        raise ExportInputError(f"A folder gives images; the model takes inputs of shape {shape}. Give an array.")
    if given is not None:
        with _input_errors():
            require_range(given, model)
    ways = {} if given is None else {"resize": given.resize.value, "interpolation": given.interpolation.value}
    notes = Notes(f"{what} images in {folder}")
    try:
        found = find_images(folder)
        if not found.images:
            raise ExportInputError(f"The folder of {what} images holds none: {folder}")
        found.log_others(folder)
        chosen = np.linspace(0, len(found.images) - 1, min(limit, len(found.images))).round().astype(int)
        images = [notes.add(read_image(found.images[i], shape[:2], shape[2], **ways)) for i in chosen]
    except DataError as error:
        raise ExportInputError(f"The {what} images cannot be used: {error}") from error
    notes.log()
    with _input_errors():
        return np.stack(images) if given is None else to_input(np.stack(images), given, model)


@contextlib.contextmanager
def _input_errors() -> Iterator[None]:
    """A ValueError about the model's input as an ExportInputError."""
    try:
        yield
    except ValueError as error:
        raise ExportInputError(str(error)) from None


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
