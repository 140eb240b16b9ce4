"""Images that stay on disk and are decoded when a batch asks for them: data sets larger than the memory."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from kattn.data.errors import DataError

log = logging.getLogger("kattn")

SHARE = 1 / 4  # of the machine's memory that decoded images may take; while they are put together they take it twice
UNKNOWN_MEMORY = 8 * 2**30  # bytes, where the system does not say


class StoredImages:
    """A uint8 array (images, height, width, channels) whose pixels are on disk.

    An index (a slice, positions, a mask) gives the decoded images as a numpy array, read side by side by threads;
    `subset` chooses among them and reads nothing.

    Args:
        decode: The uint8 pixels (height, width, channels) of an image by its number, or why there are none.
        numbers: Of these images, in order.
        shape: Height, width and channels of every image; None for those of the first.
        where: Names the images in messages.

    Raises: DataError where an image that is asked for cannot be read or has another shape.
    """

    ndim = 4
    dtype = np.dtype("uint8")

    def __init__(
        self,
        decode: Callable[[int], np.ndarray | Exception],
        numbers: np.ndarray,
        shape: tuple[int, int, int] | None,
        where: str,
    ) -> None:
        self.decode = decode
        self.numbers = numbers
        self.where = where
        self.image_shape = shape or self._image(int(numbers[0]), None).shape

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Of the array that it stands for."""
        return (len(self), *self.image_shape)

    def __len__(self) -> int:
        return len(self.numbers)

    def subset(self, indices: Any) -> StoredImages:
        """These of the images, still on disk."""
        return StoredImages(self.decode, self.numbers[indices], self.image_shape, self.where)

    def __getitem__(self, indices: Any) -> np.ndarray:
        numbers = self.numbers[indices]
        if numbers.ndim == 0:
            return self._image(int(numbers), self.image_shape)
        images = np.empty((len(numbers), *self.image_shape), "uint8")
        shapes = [self.image_shape] * len(numbers)
        for i, image in enumerate(_threads().map(self._image, numbers.tolist(), shapes)):
            images[i] = image
        return images

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[:] if dtype is None else self[:].astype(dtype)

    def _image(self, number: int, shape: tuple[int, ...] | None) -> Any:
        image = self.decode(number)
        if isinstance(image, Exception):
            raise DataError(
                f"{self.where}: image {number} is not readable: {image} (on_error='skip' leaves such images out.)"
            )
        if shape is not None and image.shape != shape:
            raise DataError(
                f"{self.where}: image {number} has the shape {image.shape}, others {shape}: pass image_size."
            )
        return image


def stored(
    decode: Callable[[int], np.ndarray | Exception],
    labels: Any,
    shape: tuple[int, int, int] | None,
    on_error: str,
    where: str,
) -> tuple[StoredImages, np.ndarray]:
    """Images on disk and their labels. With "skip" every image is decoded once, to leave out those that cannot be.

    Raises: DataError where no image is readable.
    """
    labels = np.asarray(labels, "int32")
    numbers = np.arange(len(labels))
    if on_error == "skip":
        good = np.fromiter((not isinstance(image, Exception) for image in _threads().map(decode, numbers)), bool)
        numbers = numbers[good]
        if failed := len(labels) - len(numbers):
            log.warning("%s: %d images that are not readable left out", where, failed)
    if not len(numbers):
        raise DataError(f"{where} holds no readable image.")
    return StoredImages(decode, numbers, shape, where), labels[numbers]


def keep_decoded(cache: bool | None, images: int, shape: Sequence[int] | None) -> bool:
    """Whether to hold so many decoded images in memory: as the caller says, else where they fit; see SHARE.

    Where their size is not known before they are decoded they are kept.
    """
    if cache is not None or shape is None:
        return cache is not False
    return images * int(np.prod(shape)) <= SHARE * _memory()


def _memory() -> int:
    """Bytes of the machine's memory."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return UNKNOWN_MEMORY


@functools.cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(thread_name_prefix="kattn-decode")
