"""Pictures brought to the size that a model takes: one choice of what is cut off, stretched or filled."""

from __future__ import annotations

import numbers
from typing import Any

from kattn.data.errors import DataError
from kattn.suggest import unknown

RESIZES = ("crop", "stretch", "pad")
INTERPOLATIONS = ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")

Box = tuple[float, float, float, float]
LARGEST = 16_384  # pixels of a side


def check_size(size: tuple[int, int] | None) -> None:
    """Raise DataError for what is neither None nor a height and a width."""
    if size is None:
        return
    whole = len(size) == 2 and all(isinstance(side, numbers.Integral) for side in size)
    if not whole or not (min(size) >= 1 and max(size) <= LARGEST):
        raise DataError(f"The size of an image is height and width, each 1 to {LARGEST}. Received: {size!r:.60}")


def check_resizing(resize: str, interpolation: str) -> None:
    """Raise DataError, with the closest names, for a way of resizing that does not exist."""
    for what, name, names in (("resize", resize, RESIZES), ("interpolation", interpolation, INTERPOLATIONS)):
        if name not in names:
            raise DataError(str(unknown(what, name, names)))


def fit(picture: Any, size: tuple[int, int], resize: str = "crop", interpolation: str = "bicubic") -> Any:
    """A Pillow picture at (height, width); see `kattn.data.images.read_image`."""
    from PIL import Image

    if picture.size == size[::-1]:
        return picture
    method = Image.Resampling[interpolation.upper()]
    if resize == "pad":
        y, x, tall, wide = _inner(picture.height, picture.width, size)
        padded = Image.new(picture.mode, size[::-1])
        padded.paste(picture.resize((wide, tall), method), (x, y))
        return padded
    top, left, bottom, right = shown_box(picture.height, picture.width, size, resize)
    return picture.resize(size[::-1], method, box=(left, top, right, bottom))


def shown_box(height: int, width: int, size: tuple[int, int], resize: str = "crop") -> Box:
    """The part of a picture that is seen at (height, width): top, left, bottom, right in the picture's pixels."""
    if resize == "stretch":
        return 0, 0, height, width
    if resize == "pad":
        y, x, tall, wide = _inner(height, width, size)
        down, across = height / tall, width / wide
        return -y * down, -x * across, (size[0] - y) * down, (size[1] - x) * across
    proportion = size[1] / size[0]
    part_height, part_width = float(height), float(width)
    if width / height > proportion:
        part_width = proportion * height
    elif width / height < proportion:
        part_height = width / proportion
    top, left = (height - part_height) * 0.5, (width - part_width) * 0.5
    return top, left, min(top + part_height, height), min(left + part_width, width)


def _inner(height: int, width: int, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Where a padded picture lies: top and left, height and width."""
    scale = min(size[0] / height, size[1] / width)
    tall, wide = (max(1, round(side * scale)) for side in (height, width))
    return (size[0] - tall) // 2, (size[1] - wide) // 2, tall, wide
