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
from kattn.export.source.model import Source
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


def collect_inputs(source: Any, model: Source, *, limit: int, what: str = "calibration") -> dict[str, np.ndarray]:
    """Images for each input of a model: `collect`, for several inputs from a dict of arrays or a dataset of dicts.

    Args:
        source: For one input as in `collect`. For several a dict with an array for each, or anything that gives such
            dicts of batches one after the other, alone or with labels behind them.
        model: With its inputs.
        limit: As in `collect`.
        what: Names the argument in errors.

    Raises: ExportInputError as `collect`, for another set of inputs, and for different numbers of images.
    """
    name = model.description.name
    if len(model.inputs) == 1:
        ((only, taken),) = model.inputs.items()
        shape = _shape_for(source, taken.shape)
        return {only: collect(source, shape, limit=limit, given=taken.given, model=name, what=what)}
    shapes = ", ".join(f"{name} (any number, {', '.join(map(str, t.shape))})" for name, t in model.inputs.items())
    arrays = source if isinstance(source, Mapping) else _gathered(source, limit)
    if arrays is None or set(arrays) != set(model.inputs):
        raise ExportInputError(
            f"The model takes {len(model.inputs)} inputs. Give the {what} images as a dict with an array for each: "
            f"{shapes}. Received: {_describe(source) if arrays is None else ', '.join(map(str, arrays))}"
        )
    found = {
        key: collect(arrays[key], _shape_for(arrays[key], t.shape), limit=limit, given=t.given, model=name, what=what)
        for key, t in model.inputs.items()
    }
    if len(counts := {len(array) for array in found.values()}) > 1:
        raise ExportInputError(f"The {what} arrays of the inputs differ in length: {sorted(counts)}.")
    return found


def _gathered(source: Any, limit: int) -> dict[str, np.ndarray] | None:
    """Batches of dicts as one dict of arrays; None where they are none."""
    if source is None or isinstance(source, (str, Path, np.ndarray)) or not isinstance(source, Iterable):
        return None
    batches: list[Mapping[str, Any]] = []
    count = 0
    for part in source:
        batch = part[0] if isinstance(part, (tuple, list)) and part else part
        if not isinstance(batch, Mapping):
            return None
        batches.append({str(name): np.asarray(values) for name, values in batch.items()})
        count += len(next(iter(batches[-1].values())))
        if count >= limit:
            break
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]} if batches else None


def _shape_for(source: Any, shape: tuple[int | None, ...]) -> tuple[int, ...]:
    """The shape of one image: where the model leaves sizes open, those of the array."""
    own = tuple(getattr(source, "shape", ()))[1:]
    if None in shape and len(own) == len(shape) and all(a in (None, b) for a, b in zip(shape, own, strict=True)):
        return own
    if None in shape:
        raise ExportInputError(f"The model leaves sizes open, {shape}: give an array of images, or input_shape=.")
    return shape  # type: ignore[return-value]


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
