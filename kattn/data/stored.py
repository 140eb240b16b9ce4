"""Images that stay on disk and are decoded when a batch asks for them: data sets larger than the memory."""

from __future__ import annotations

import functools
import logging
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np

from kattn.data.errors import DataError

log = logging.getLogger("kattn")

AHEAD = 64  # images that are decoded before they are asked for

Result = TypeVar("Result")
Decode = Callable[[int], np.ndarray]  # of an image's number; raises DataError for one that cannot be read


class StoredImages:
    """A uint8 array (images, height, width, channels) whose pixels are on disk.

    An index (a slice, positions, a mask) gives the decoded images as a numpy array, read side by side by threads;
    `subset` chooses among them and reads nothing.

    Args:
        decode: Gives the uint8 pixels (height, width, channels) of an image by its number, or raises DataError.
        numbers: Of these images, in order.
        shape: Height, width and channels of every image; None for those of the first.
        where: Names the images in messages.

    Raises: DataError where an image that is asked for cannot be read or has another shape.
    """

    ndim = 4
    dtype = np.dtype("uint8")

    def __init__(
        self,
        decode: Decode,
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
        read = functools.partial(self._image, shape=self.image_shape)
        for i, image in enumerate(in_threads(read, numbers.tolist())):
            images[i] = image
        return images

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[:] if dtype is None else self[:].astype(dtype)

    def _image(self, number: int, shape: tuple[int, ...] | None) -> Any:
        image = _attempt(self.decode, number)
        if isinstance(image, DataError):
            raise DataError(f"{image} (on_error='skip' leaves such images out.)")
        if shape is not None and image.shape != shape:
            raise DataError(
                f"{self.where}: image {number} has the shape {image.shape}, others {shape}: pass image_size (channels)."
            )
        return image


def gather(
    decode: Decode, labels: Any, shape: tuple[int, int, int] | None, *, keep: bool, on_error: str, where: str
) -> tuple[np.ndarray | StoredImages, np.ndarray, np.ndarray]:
    """Images and their labels, decoded now or left on disk, and their numbers.

    Args:
        decode: Gives the uint8 pixels (height, width, channels) of an image by its number, or raises DataError.
        labels: Of all images.
        shape: Height, width and channels of every image, where they are known.
        keep: Decode all images now. Otherwise they stay on disk, and only with "skip" each is decoded once beforehand.
        on_error: "skip" leaves out images that cannot be read, and logs and counts them.
        where: Names the source in messages.

    Raises: DataError where no image is readable, for images that cannot be read unless they are skipped, and for images
        of several sizes.
    """
    labels = np.asarray(labels, "int32")
    images: dict[int, np.ndarray | None] = {}
    errors: list[DataError] = []
    if keep or on_error == "skip":
        first = None
        for number, image in enumerate(in_threads(functools.partial(_attempt, decode), range(len(labels)))):
            if isinstance(image, DataError):
                errors.append(image)
                continue
            first = image if first is None else first
            _check_size(image, first, where)
            images[number] = image if keep else None
        _report(errors, len(labels), on_error, where)
    numbers = np.array(list(images), int) if keep or on_error == "skip" else np.arange(len(labels))
    if not len(numbers):
        raise DataError(f"{where} holds no readable image.")
    if not keep:
        return StoredImages(decode, numbers, shape, where), labels[numbers], numbers
    pixels = [image for image in images.values() if image is not None]
    chosen = _of_one_depth(pixels, on_error, where)
    return np.stack([pixels[i] for i in chosen]), labels[numbers[chosen]], numbers[chosen]


def in_threads(function: Callable[[Any], Result], items: Iterable[Any]) -> Iterator[Result]:
    """`function` of every item, in order; threads work a little ahead, and stop when the caller does."""
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(_threads().submit(function, item))
            if len(waiting) >= AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def _attempt(decode: Decode, number: int) -> np.ndarray | DataError:
    """An image, or why there is none; an error without its traceback, which would keep the half-read picture."""
    try:
        return decode(number)
    except DataError as error:
        return DataError(str(error))


def _report(errors: Sequence[DataError], count: int, on_error: str, where: str) -> None:
    """Raise the first error, or log all."""
    if errors and on_error == "raise":
        raise DataError(f"{errors[0]} ({len(errors)} such images; on_error='skip' leaves them out.)")
    for error in errors:
        log.warning("left out: %s", error)
    if errors:
        log.warning("%s: %d of %d images left out", where, len(errors), count)


def _of_one_depth(images: Sequence[np.ndarray], on_error: str, where: str) -> list[int]:
    """The positions of the images that have as many channels as most of them; others are an error or are logged."""
    depths = Counter(image.shape[2] for image in images).most_common()
    if len(depths) > 1:
        found = " and ".join(f"{count} images of {depth} channels" for depth, count in depths)
        if on_error == "raise":
            raise DataError(f"{where} holds {found}. (on_error='skip' keeps those of {depths[0][0]} channels.)")
        log.warning("%s: %s; only those of %d channels are kept", where, found, depths[0][0])
    return [i for i, image in enumerate(images) if image.shape[2] == depths[0][0]]


def _check_size(image: np.ndarray, first: np.ndarray, where: str) -> None:
    """Raise where an image has another height or width than the first: at once, not when all have been read."""
    if image.shape[:2] != first.shape[:2]:
        sizes = " and ".join(f"{height}x{width}" for height, width in (first.shape[:2], image.shape[:2]))
        raise DataError(f"{where} holds images of several sizes, such as {sizes}: pass image_size.")


@functools.cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(thread_name_prefix="kattn-decode")
