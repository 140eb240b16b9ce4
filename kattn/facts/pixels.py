"""From 8-bit images to what a model takes, and arrays compared with the range that it is known to take."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from kattn.facts.description import Fact, Input
from kattn.facts.stated import BYTES

UNSCALED = 10  # a model whose largest value is above this does not take numbers up to 1
SLACK = 0.1  # of the range: as much as bicubic scaling may exceed it


def to_input(pixels: np.ndarray, given: Input, model: str) -> np.ndarray:
    """8-bit images as a model takes them.

    Args:
        pixels: uint8 (..., height, width, channels), as image files are read.
        given: The model's input.
        model: What messages call the model.

    Returns: The pixels themselves where the model takes 0 to 255, else float32.
    Raises: ValueError where nothing says what range the model takes, and for a `preprocess` that gives another shape.
    """
    if given.preprocess.known:
        return _preprocessed(pixels, given.preprocess.value)
    require_range(given, model)
    low, high = given.value_range.value
    if (low, high) == BYTES:
        return pixels
    return np.float32(low) + pixels.astype("float32") * np.float32((high - low) / 255)


class AsInput:
    """Labelled images, in memory or on disk, of which parts are brought to what a model takes when they are asked for.

    Args:
        images: An array or a `StoredImages`.
        given: The model's input.
        model: What messages call the model.
        files: The images come from files, so that their range has to be known; arrays are taken as they are.

    Raises: ValueError where it is not known, and for values that the model is known not to take.
    """

    def __init__(self, images: Any, given: Input, model: str, *, files: bool) -> None:
        if files:
            require_range(given, model)
        elif isinstance(images, np.ndarray):
            check_values(images, given, model)
        self.images, self.given, self.model = images, given, model

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, part: Any) -> np.ndarray:
        return converted(self.images[part], self.given, self.model)


def as_pixels(images: np.ndarray, given: Input) -> np.ndarray:
    """Images of a model as pixels 0-255, to be looked at; as they are where the range is not known."""
    if not given.value_range.known or given.value_range.value == BYTES:
        return images
    low, high = given.value_range.value
    return (images - low) * np.float32(255 / (high - low))


def as_input(array: np.ndarray, given: Input, model: str, what: str = "") -> np.ndarray:
    """An array as a model takes it: as it is; but bytes are 8-bit images where the model's range is known.

    Args:
        array: Images.
        given: The model's input.
        model: What messages call the model.
        what: What messages call the images: "calibration ".

    Raises: ValueError for values that a model does not take that is known to take others.
    """
    check_values(array, given, model, what)
    return converted(array, given, model)


def converted(array: np.ndarray, given: Input, model: str) -> np.ndarray:
    """What `as_input` gives, without a look at the values: for a part of the images."""
    bytes_of_images = array.dtype == np.uint8 and (given.preprocess.known or given.value_range.known)
    return to_input(array, given, model) if bytes_of_images else array


def check_values(array: np.ndarray, given: Input, model: str, what: str = "") -> None:
    """Raise ValueError for values that a model does not take that is known to take others."""
    if array.dtype == np.uint8 and given.value_range.known and given.dtype.value != "uint8":
        given = replace(given, value_range=replace(given.value_range, value=BYTES))
    if problem := mismatch(array, given):
        raise ValueError(
            f"The {what}images {problem}, {model!r}. Give them as it takes them; if it takes these, say so: "
            f"value_range={_as_range(array)}."
        )


def mismatch(array: np.ndarray, given: Input) -> str | None:
    """How the values of images differ from those that a model is known to take; None where they do not."""
    if not given.value_range.known or not array.size:
        return None
    low, high = given.value_range.value
    least, most = float(array.min()), float(array.max())
    scaled = high > UNSCALED and 0 < max(abs(least), abs(most)) <= 1
    slack = SLACK * (high - low)
    if not scaled and least >= low - slack and most <= high + slack:
        return None
    return f"lie between {least:g} and {most:g}, and {range_in_words(given.value_range)} are what the model takes"


def range_in_words(fact: Fact) -> str:
    """A value range as the subject of a sentence."""
    low, high = fact.value
    raw = "raw pixels" if (low, high) == BYTES else "values"
    origin = f"{fact.origin}{f', {fact.detail}' if fact.detail else ''}"
    return f"{raw} from {low:g} to {high:g} ({origin})"


def require_range(given: Input, model: str) -> None:
    """Raise ValueError where nothing says what a model makes of image files."""
    if given.preprocess.known or given.value_range.known:
        return
    if given.preprocess.detail:
        raise ValueError(f"{model!r} cannot be given image files: {given.preprocess.detail}.")
    raise ValueError(
        f"Nothing says which values {model} takes for the pixels of image files. State what 0 and 255 of an 8-bit "
        "image are in its input: often value_range=(0, 255), value_range=(0, 1) or value_range=(-1, 1)."
    )


def _preprocessed(pixels: np.ndarray, preprocess: Any) -> np.ndarray:
    result = np.asarray(preprocess(pixels.astype("float32")))  # a copy: Keras's own functions change what they get
    if result.shape != pixels.shape:
        raise ValueError(f"preprocess gave the shape {result.shape} for images of shape {pixels.shape}.")
    return result.astype("float32")


def _as_range(array: np.ndarray) -> tuple[int | float, int | float]:
    """A range to propose: the common one that holds the values, else the values' own."""
    least, most = float(array.min()), float(array.max())
    for low, high in ((0, 1), (-1, 1), (0, 255)):
        if low <= least and most <= high:
            return low, high
    return round(least, 3), round(most, 3)
