"""Image files of every kind, at the size a model takes, with the pixels they came from."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kattn.data.errors import DataError
from kattn.data.image_files import files_named
from kattn.data.images import Notes, read_image
from kattn.data.resizing import Box
from kattn.facts.description import Input
from kattn.facts.of_model import image_of
from kattn.facts.pixels import to_input
from kattn.facts.stated import INTERPOLATION, RESIZE, Stated
from kattn.graph.inputs import require_graph

log = logging.getLogger("kattn")


@dataclass(frozen=True)
class Picture:
    """An image file.

    Attributes:
        path: Of the file.
        original: Its pixels, uint8 (height, width, 3), turned as its EXIF entry says, transparent parts on white.
        box: The part of them that the model sees, (top, left, bottom, right) in pixels.
        pixels: What the model takes, uint8 at its size and of its channels.
        notes: What was done to the file to get them; see `kattn.data.images.Reading`.
        given: What is known of the input of the model that it was read for; None where there is none.
    """

    path: Path
    original: np.ndarray
    box: Box
    pixels: np.ndarray
    notes: tuple[str, ...] = ()
    given: Input | None = None


def read_images(
    paths: str | Path | Iterable[str | Path],
    model: keras.Model | None = None,
    *,
    size: tuple[int, int] | None = None,
    channels: int | None = None,
    on_error: str = "skip",
    max_pixels: int | None = None,
    **stated: Any,
) -> list[Picture]:
    """Read image files for a model, as training, evaluation and calibration do; see `kattn.data.images.read_image`.

    Args:
        paths: Files, and folders, which are searched with all that is in them.
        model: Gives size and channels, how pictures are resized, and what `batch_of` makes of them.
        size: Height and width, where the model leaves them open or there is none. None then keeps the files' own.
        channels: 1, 3 or 4, alike; None is 3.
        on_error: What to do with a file that is no readable image: "skip" leaves it out, logs why, and logs how many;
            "raise" stops.
        max_pixels: The largest width x height of a file that is decoded; None is kattn.data.images.MAX_PIXELS.
        stated: What is known of the model's input: value_range, preprocess, resize, interpolation; see
            `kattn.facts.stated.Stated`.

    Returns: The pictures, in the order of the paths, a folder's sorted.
    Raises: ValueError for a path that is not there, a folder without image files, a file that cannot be read where
        on_error says so, and where nothing is left.
    """
    if on_error not in ("skip", "raise"):
        raise ValueError(f"on_error must be 'skip' or 'raise'. Received: on_error={on_error!r}")
    said, given = Stated.of(stated), None
    ways = {"resize": said.resize or RESIZE, "interpolation": said.interpolation or INTERPOLATION}
    if model is not None:
        require_graph(model)
        height, width, depth = model.inputs[0].shape[1:]
        size = (height, width) if height and width else size
        channels = depth or channels
        given = image_of(model, said)
        ways = {"resize": given.resize.value, "interpolation": given.interpolation.value}
    if channels not in (None, 1, 3, 4):
        raise ValueError(f"image files give 1, 3 or 4 channels; the model takes {channels}.")
    files = files_named(paths)
    notes = Notes("images to explain")
    pictures, failed = [], 0
    for file in files:
        try:
            original = read_image(file, max_pixels=max_pixels).pixels
            shown = read_image(file, size, channels or 3, max_pixels=max_pixels, **ways)
        except DataError as problem:
            if on_error == "raise":
                raise
            failed += 1
            log.warning("left out: %s", problem)
        else:
            pictures.append(Picture(file, original, shown.box, notes.add(shown), shown.notes, given))
    notes.log()
    if not pictures:
        raise ValueError(f"none of the {len(files)} files is a readable image, such as {files[0]}.")
    if failed:
        log.warning("%d of %d files left out", failed, len(files))
    return pictures


def batch_of(pictures: Sequence[Picture]) -> np.ndarray:
    """The pictures as the model takes them that they were read for, float32 (images, height, width, channels).

    Of pictures that were read for none the pixels, 0-255.

    Returns: The array.
    Raises: ValueError for pictures of several sizes, which a model of open size is given one by one, and where nothing
        says which values the model takes.
    """
    shapes = sorted({picture.pixels.shape for picture in pictures})
    if len(shapes) != 1:
        raise ValueError(f"pictures of {len(shapes)} sizes make no batch, such as {shapes[:2]}: read them with size=.")
    pixels, given = np.stack([picture.pixels for picture in pictures]), pictures[0].given
    return (pixels if given is None else to_input(pixels, given, "the model")).astype("float32")
