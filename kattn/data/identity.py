"""Which image is which: by its name, which says its part of the data, and by its content, which says whether it is new.

Images may be added to a folder at any time. A part that depended on how many images there are would move with them.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence

import numpy as np

from kattn.data.dataset import Split
from kattn.data.stored import in_threads

MOST_FILES = 50_000  # up to which the content of files is read for its own sake


def keys_of(names: Sequence[str]) -> np.ndarray:
    """A 64-bit number of each name, (names,), the same on every system. Names: "class/file", composed or not."""
    composed = (unicodedata.normalize("NFC", name).encode("utf-8", "surrogateescape") for name in names)
    return np.array([_number(name) for name in composed], "uint64")


def draws(keys: np.ndarray, seed: int, stage: int) -> np.ndarray:
    """A number from 0 to 1 for each key, which depends on that key, the seed and the stage, and on no other image."""
    start = np.full(1, _number(f"{seed}/{stage}".encode()), "uint64")
    mixed = keys ^ start  # what follows is the finaliser of SplitMix64: every bit depends on every bit
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(11)) / 2.0**53


def contents(split: Split) -> np.ndarray | None:
    """A 64-bit number of each image's content, (images,): of the bytes of its file, else of its pixels.

    Returns: The numbers; None where the pixels are on disk and no files are known, and for more than MOST_FILES files.
    """
    if split.files is not None:
        if len(split) > MOST_FILES:
            return None
        return np.fromiter(in_threads(_of_file, split.files), "uint64", len(split))
    if not isinstance(split.images, np.ndarray):
        return None
    return np.fromiter((_number(image.tobytes()) for image in split.images), "uint64", len(split))


def _of_file(file: str) -> int:
    try:
        with open(file, "rb") as stream:
            return _number(stream.read())
    except OSError:  # reading its pixels says what is wrong
        return _number(file.encode("utf-8", "surrogateescape"))


def _number(content: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")
