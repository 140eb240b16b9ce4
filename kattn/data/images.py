"""The one reader of image files: training, evaluation, calibration and explanation get the same pixels from a file."""

from __future__ import annotations

import contextlib
import io
import logging
import re
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kattn.data.errors import DataError
from kattn.data.image_files import format_of
from kattn.data.memory import DecodingRoom
from kattn.data.resizing import Box, check_resizing, check_size, fit, shown_box

log = logging.getLogger("kattn")

# What is read, by Pillow's names; AVIF and HEIF only where this Pillow, or a plug-in of it, can. The list keeps out
# formats that start other programs: EPS runs Ghostscript, whatever the file's name ends in.
FORMATS = ("JPEG", "MPO", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "AVIF", "HEIF", "JPEG2000")
MAX_PIXELS = 120_000_000  # of one file, as its header says; the sensors of most phones and cameras stay below
MODES = {1: "L", 3: "RGB", 4: "RGBA"}
GREY = ("1", "L", "LA", "La", "I", "F")
JPEG = ("JPEG", "MPO")
ORIENTATION = 0x0112  # EXIF tag
SIDEWAYS = (5, 6, 7, 8)  # orientations that exchange height and width

DEEP = "16 bits a channel scaled to 8 bits"
FIRST_FRAME = "several frames, of which the first was taken"
ON_WHITE = "transparent parts laid on white"
TURNED = "turned as the EXIF entry says"

_room = DecodingRoom()
_header = threading.Lock()


@dataclass(frozen=True)
class Reading:
    """The pixels of an image file, and how they came about.

    Attributes:
        pixels: uint8 (height, width, channels), 0-255.
        size: Height and width of the whole picture, after it was turned.
        box: The part of the whole picture that the pixels show: top, left, bottom, right, in its pixels. With "pad" it
            reaches beyond the picture.
        notes: What was done beside decoding and resizing, such as DEEP, FIRST_FRAME, ON_WHITE, TURNED.
    """

    pixels: np.ndarray
    size: tuple[int, int]
    box: Box
    notes: tuple[str, ...] = ()


def read_image(
    source: str | Path | bytes,
    size: tuple[int, int] | None = None,
    channels: int | None = 3,
    *,
    name: str | None = None,
    resize: str = "crop",
    interpolation: str = "bicubic",
    max_pixels: int | None = None,
) -> Reading:
    """Read one image file as 8-bit pixels.

    The format is known from the content, not from the name. The picture is turned as its EXIF entry says. Palettes,
    grey, CMYK and other modes are converted; of 16 bits a channel the higher 8 are kept; of several frames the first
    is taken. Transparent parts are laid on white, except for 4 channels, which keep the opacity. A JPEG that is more
    than four times as large as `size` is decoded at a half, a quarter or an eighth, so that at least twice the size is
    left to scale from. Colour profiles are not applied.

    Args:
        source: The file, or its content.
        size: Height and width to bring the picture to; None keeps its own.
        channels: 1 for grey, 3 for RGB, 4 for RGB and opacity (opaque where the file has none). None gives 1 for grey
            files and 3 for all others.
        name: What messages call the image; None is the file's path.
        resize: "crop" scales the shorter side and cuts out the middle; "stretch" changes the proportions; "pad" scales
            the longer side and fills the borders with black.
        interpolation: "bicubic", or one of nearest, box, bilinear, hamming, lanczos. All but nearest are anti-aliased.
        max_pixels: The largest width x height that is decoded; None is MAX_PIXELS.

    Returns: The Reading: pixels, and what was done to get them.
    Raises: DataError for a file that is no readable image or holds more than max_pixels, and for unknown arguments.
    """
    if channels is not None and channels not in MODES:
        raise DataError(f"Image files are read with 1, 3 or 4 channels. Received: channels={channels}")
    check_size(size)
    check_resizing(resize, interpolation)
    what = name or ("the image" if isinstance(source, bytes) else str(source))
    try:
        with _opened(source) as file:
            limit = MAX_PIXELS if max_pixels is None else max_pixels
            if file.width * file.height > limit:
                raise ValueError(
                    f"it has {file.width} x {file.height} = {file.width * file.height:,} pixels, more than "
                    f"max_pixels={limit:,}. To read it, pass a larger max_pixels or set kattn.data.images.MAX_PIXELS"
                )
            return _decoded(file, _Wanted(size, channels, resize, interpolation))
    except Exception as error:  # Pillow's decoders raise errors of many kinds for damaged files
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
        raise DataError(f"{what} is no readable image: {reason}") from error


class Notes:
    """Counts what was done to the images of one source, and says so in the log.

    Args:
        where: Names the source in the log.
        at_once: Log each kind when it first occurs, for images that are decoded later and never all.
    """

    def __init__(self, where: str, *, at_once: bool = False) -> None:
        self.where = where
        self.at_once = at_once
        self.counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def add(self, reading: Reading) -> np.ndarray:
        """Count one image; returns its pixels."""
        with self._lock:
            new = [note for note in reading.notes if note not in self.counts]
            self.counts.update(reading.notes)
        for note in new if self.at_once else ():
            self._log(note, "some images")
        return reading.pixels

    def log(self) -> None:
        """One line a kind, with its count."""
        for note, count in self.counts.items() if not self.at_once else ():
            self._log(note, f"{count} image{'s' if count > 1 else ''}")

    def _log(self, note: str, images: str) -> None:
        level = logging.WARNING if note in (DEEP, FIRST_FRAME) else logging.INFO
        log.log(level, "%s: %s: %s", self.where, images, note)


@dataclass(frozen=True)
class _Wanted:
    """Arguments of `read_image`."""

    size: tuple[int, int] | None
    channels: int | None
    resize: str
    interpolation: str


def _decoded(file: Any, wanted: _Wanted) -> Reading:
    """The pixels of an opened file, decoded when there is room for it."""
    notes = []
    whole = (file.height, file.width)
    if getattr(file, "is_animated", False) and file.format != "MPO":  # a camera's MPO holds previews beside the image
        notes.append(FIRST_FRAME)
    # Rawmodes of 16 bits a channel, such as "RGB;16B". BMP's "BGR;16" has 16 bits a pixel.
    if any(re.search(r"\b(I|L|LA|RGB|RGBA|RGBX);16", str(tile)) for tile in file.tile):
        notes.append(DEEP)
    if wanted.size is not None and file.format in JPEG:  # decoded no finer than needed
        height, width = wanted.size[::-1] if _orientation(file) in SIDEWAYS else wanted.size
        file.draft(None, (2 * width, 2 * height))
    return _room.run(file.width * file.height, lambda: _finished(file, wanted, whole, notes))


def _finished(file: Any, wanted: _Wanted, whole: tuple[int, int], notes: list[str]) -> Reading:
    """The pixels of a file, decoded now."""
    from PIL import ImageOps

    file.load()
    picture, orientation = file, _orientation(file)  # a PNG knows it only now
    if orientation in range(2, 9):
        picture = ImageOps.exif_transpose(file)
        notes.append(TURNED)
    height, width = whole[::-1] if orientation in SIDEWAYS else whole
    picture, converted = _converted(picture, wanted.channels, sixteen=file.format in ("PNG", "PPM"))
    if wanted.size is not None:
        picture = fit(picture, wanted.size, wanted.resize, wanted.interpolation)
    pixels = np.asarray(picture)
    box = shown_box(height, width, wanted.size or (height, width), wanted.resize)
    notes = list(dict.fromkeys(notes + converted))
    return Reading(pixels.reshape(*pixels.shape[:2], -1), (height, width), box, tuple(notes))


def _orientation(file: Any) -> int:
    """How the camera was held, by the EXIF entry: 1 to 8, 1 where there is none."""
    return file.getexif().get(ORIENTATION, 1)


def _converted(picture: Any, channels: int | None, sixteen: bool) -> tuple[Any, list[str]]:
    """A picture in the mode of so many channels, and what that took.

    Args:
        picture: A Pillow picture.
        channels: See `read_image`.
        sixteen: Whether the values of a 32-bit mode are known to be of 16 bits.
    """
    from PIL import Image

    before, notes = picture.mode, list[str]()
    if picture.mode.startswith("I;16") or (picture.mode == "I" and sixteen):
        picture = Image.fromarray((np.asarray(picture) >> 8).astype("uint8"))
        notes.append(DEEP)
    elif picture.mode in ("I", "F"):
        picture = Image.fromarray(_eight_bits(np.asarray(picture), picture.mode))
    grey = before in GREY or before.startswith("I;16")
    mode = MODES[(1 if grey else 3) if channels is None else channels]
    if picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info:
        picture = picture if picture.mode == "RGBA" else picture.convert("RGBA")
        opacity = picture.getchannel("A")
        if mode != "RGBA" and opacity.getextrema()[0] < 255:
            white = Image.new("RGB", picture.size, "white")
            white.paste(picture, mask=opacity)
            picture = white
            notes.append(ON_WHITE)
    if before != mode:
        notes.append(f"converted from {before} to {mode}")
    return picture if picture.mode == mode else picture.convert(mode), notes


def _eight_bits(values: np.ndarray, mode: str) -> np.ndarray:
    """The values of a picture of 32 bits a pixel, where they are those of 8 bits."""
    low, high = float(values.min()), float(values.max())
    eight_bits = low >= 0 and high <= 255  # not if they are not finite
    if not eight_bits or (mode == "F" and high <= 1):
        raise ValueError(
            f"it holds {'floats' if mode == 'F' else '32-bit integers'} from {low:g} to {high:g}, for which black and "
            "white are not known. Save it with 8 or 16 bits a channel"
        )
    return values.round().astype("uint8")


@contextlib.contextmanager
def _opened(source: str | Path | bytes) -> Iterator[Any]:
    """An image file with its header read."""
    from PIL import Image, UnidentifiedImageError

    with io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb") as stream:
        start = stream.read(32)
        try:
            with _header:
                # Pillow's own limit warns, and ends at a number that the caller cannot choose; ours follows.
                pillows, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
                try:
                    file = Image.open(stream, formats=_formats())
                finally:
                    Image.MAX_IMAGE_PIXELS = pillows
        except UnidentifiedImageError as error:
            raise ValueError(_reason(start)) from error
        with file:
            yield file


def _reason(start: bytes) -> str:
    """Why a file that begins with these bytes was not opened."""
    kind = format_of(start)
    if kind is None:
        return f"its content is none of the formats that are read, {', '.join(_formats())}"
    if kind == "HEIF" and kind not in _formats():
        return "it is a HEIC file: convert it to JPEG, or install pillow-heif and call its register_heif_opener()"
    return f"it begins as {kind}, and then is damaged" if kind in _formats() else f"this Pillow does not read {kind}"


def _formats() -> tuple[str, ...]:
    """FORMATS, as far as this Pillow reads them."""
    from PIL import Image

    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)
