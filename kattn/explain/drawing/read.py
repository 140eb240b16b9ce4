"""Image files of every kind, at the size a model takes, with the pixels they came from."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kattn.data.image_folder import SUFFIXES
from kattn.graph.calls import require_graph

log = logging.getLogger("kattn")


@dataclass(frozen=True)
class Picture:
    """An image file.

    Attributes:
        path: Of the file.
        original: Its pixels, uint8 (height, width, 3), turned as its EXIF entry says.
        box: The part of them that the model sees, (top, left, bottom, right) in pixels.
        pixels: What the model takes, uint8 at its size and of its channels.
    """

    path: Path
    original: np.ndarray
    box: tuple[float, float, float, float]
    pixels: np.ndarray


def read_images(
    paths: str | Path | Iterable[str | Path],
    model: keras.Model | None = None,
    *,
    size: tuple[int, int] | None = None,
    channels: int | None = None,
    on_error: str = "skip",
) -> list[Picture]:
    """Read image files for a model: the shorter side is scaled, the middle cut out (bicubic).

    Every mode becomes RGB (or grey, for a model of one channel): CMYK and palettes are converted, 16 bits become 8 by
    their higher ones, transparent pixels are laid on white.

    Args:
        paths: Files, and folders, which are searched with all that is in them.
        model: Gives size and channels.
        size: Height and width, where the model leaves them open or there is none. None then keeps the files' own.
        channels: 1 or 3, alike; None is 3.
        on_error: What to do with a file that is no readable image: "skip" leaves it out, logs why, and logs how many;
            "raise" stops.

    Returns: The pictures, in the order of the paths, a folder's sorted.
    Raises: ValueError for a path that is not there, a folder without image files, a file that cannot be read where
        on_error says so, and where nothing is left.
    """
    if on_error not in ("skip", "raise"):
        raise ValueError(f"on_error must be 'skip' or 'raise'. Received: on_error={on_error!r}")
    if model is not None:
        require_graph(model)
        height, width, depth = model.inputs[0].shape[1:]
        size = (height, width) if height and width else size
        channels = depth or channels
    if channels not in (None, 1, 3):
        raise ValueError(f"image files give 1 or 3 channels; the model takes {channels}.")
    files = _files([paths] if isinstance(paths, (str, Path)) else list(paths))
    pictures, failed = [], 0
    for file in files:
        try:
            pictures.append(_read(file, size, channels or 3))
        except ValueError as problem:
            if on_error == "raise":
                raise
            failed += 1
            log.warning("left out: %s", problem)
    if not pictures:
        raise ValueError(f"none of the {len(files)} files is a readable image, such as {files[0]}.")
    if failed:
        log.warning("%d of %d files left out", failed, len(files))
    return pictures


def batch_of(pictures: Sequence[Picture]) -> np.ndarray:
    """The pictures as a model takes them, float32 (images, height, width, channels).

    Raises: ValueError for pictures of several sizes, which a model of open size is given one by one.
    """
    shapes = sorted({picture.pixels.shape for picture in pictures})
    if len(shapes) != 1:
        raise ValueError(f"pictures of {len(shapes)} sizes make no batch, such as {shapes[:2]}: read them with size=.")
    return np.stack([picture.pixels for picture in pictures]).astype("float32")


def _files(paths: Sequence[str | Path]) -> list[Path]:
    if not paths:
        raise ValueError("no image was named: give files or folders.")
    files: list[Path] = []
    for given in paths:
        path = Path(given).expanduser()
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))
            images = [p for p in inside if p.suffix.lower() in SUFFIXES]
            if not images:
                raise ValueError(f"folder {path} holds no images ({', '.join(sorted(SUFFIXES))}).")
            files.extend(images)
        elif path.is_file():
            files.append(path)
        else:
            raise ValueError(f"there is no file or folder {path}.")
    return files


def _read(path: Path, size: tuple[int, int] | None, channels: int) -> Picture:
    """One file. Raises ValueError with the reason where it cannot be read."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as file:
            image = _as_rgb(ImageOps.exif_transpose(file))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as problem:
        raise ValueError(f"{path} is no readable image: {problem}") from problem
    original = np.asarray(image)
    height, width = size or original.shape[:2]
    box = _middle(original.shape[0], original.shape[1], height, width)
    top, left, bottom, right = box
    seen = image.resize((width, height), Image.Resampling.BICUBIC, box=(left, top, right, bottom))
    pixels = np.asarray(seen if channels == 3 else seen.convert("L")).reshape(height, width, channels)
    return Picture(path, original, box, pixels)


def _as_rgb(image: Any) -> Any:
    """Any mode as 8-bit RGB."""
    from PIL import Image

    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image, "float64")
        if not np.isfinite(values).all() or values.min() < 0 or values.max() > 65535:
            raise ValueError(f"mode {image.mode} holds {values.min():g} to {values.max():g}, which are no 8 or 16 bits")
        deep = image.mode.startswith("I;16") or values.max() > 255
        image = Image.fromarray((values / 257 if deep else values).round().astype("uint8"))
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


def _middle(height: int, width: int, new_height: int, new_width: int) -> tuple[float, float, float, float]:
    """The largest middle part of the wanted proportions: top, left, bottom, right."""
    scale = min(height / new_height, width / new_width)
    tall, wide = new_height * scale, new_width * scale
    top, left = (height - tall) / 2, (width - wide) / 2
    return top, left, top + tall, left + wide
