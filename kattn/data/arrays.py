"""Arrays as a source of labelled images, the digits among them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from kattn.data.dataset import Raw
from kattn.data.errors import DataError
from kattn.data.resizing import fit

ARRAYS = "arrays"
DIGITS_SIZE = (16, 16)  # shown at twice their 8x8: three stages of a network then end on maps of 4x4, not 2x2


def from_arrays(data: Any) -> Raw:
    """Arrays as a source: a pair, a pair of pairs (train, test), or a mapping by split."""
    if not isinstance(data, Mapping):
        if len(data) != 2:
            raise DataError(
                f"Arrays come as (images, labels) or ((images, labels), (images, labels)): two. {received(data)}"
            )
        pair_of_pairs = isinstance(data[0], (tuple, list)) and len(data[0]) == 2
        data = {"train": data[0], "test": data[1]} if pair_of_pairs else {"train": data}
    return Raw(ARRAYS, dict(data))


def digits() -> Raw:
    """Handwritten digits from scikit-learn's wheel: 1797 grey images of 8x8, pixels 0-16, classes 0-9."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = np.rint(bunch.images * (255 / 16)).astype("uint8")[..., None]
    return Raw(
        "digits",
        {"train": (images, bunch.target.astype("int32"))},
        class_names=[str(digit) for digit in range(10)],
        mirror=False,
        channels=3,
    )


def show_as_rgb(images: np.ndarray) -> np.ndarray:
    """Grey images as three equal channels, RGB unchanged, the transparent parts of RGBA laid on white.

    Images of other values than bytes keep their four channels: what is opaque is not known of them.
    """
    if images.shape[-1] == 1:
        return np.repeat(images, 3, axis=-1)
    if images.shape[-1] == 3 or images.dtype != np.uint8:
        return images
    opacity = images[..., 3:].astype("uint16")
    return ((images[..., :3] * opacity + 255 * (255 - opacity) + 127) // 255).astype("uint8")


def resized(
    images: np.ndarray, size: tuple[int, int], resize: str = "crop", interpolation: str = "bicubic"
) -> np.ndarray:
    """uint8 images at (height, width); see `kattn.data.load`."""
    from PIL import Image

    if images.shape[1:3] == tuple(size):
        return images
    result = np.empty((len(images), *size, images.shape[-1]), "uint8")
    for i, image in enumerate(images):
        picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
        result[i] = np.asarray(fit(picture, size, resize, interpolation)).reshape(result.shape[1:])
    return result


def received(data: Any) -> str:
    """What came, for a message."""
    return f"Received: {data!r:.200}" if isinstance(data, (str, int, float, type(None))) else f"Received: {type(data)}"
