"""NumPy's .npz files whose maker is not known: only headers are read at first, and objects never."""

from __future__ import annotations

import contextlib
import math
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from kattn.hdf5 import ALLOWANCE, EXPANSION, largest_content

MOST_ARRAYS = 200_000


class UnreadableNpz(ValueError):
    """A file that is damaged, or swells far beyond its size."""


@contextlib.contextmanager
def open_npz(
    path: Path, *, text: bool = False
) -> Iterator[tuple[dict[str, tuple[int, ...]], Callable[[str], np.ndarray]]]:
    """The shapes of the arrays by name, and what reads one.

    A small file can hold arrays of many gigabytes: what they take is known from their headers.

    Args:
        path: The file.
        text: Whether arrays of text are read too; else numbers only.

    Raises: UnreadableNpz, a ValueError, for a damaged file or one whose content takes more than 16 times its size and
        64 MB.
    """
    kinds = "biufcVU" if text else "biufcV"
    with _readable(path):
        file = zipfile.ZipFile(path)
    with file:
        with _readable(path):
            if len(members := file.infolist()) > MOST_ARRAYS:
                raise ValueError(f"it holds {len(members):,} arrays, more than {MOST_ARRAYS:,}")
            headers = {one.filename.removesuffix(".npy"): _header(file, one, kinds) for one in members}
        size = sum(math.prod(shape) * kind.itemsize for shape, kind in headers.values())
        if size > (allowed := largest_content(path.stat().st_size)):
            raise UnreadableNpz(
                f"{str(path)!r} swells to {size >> 20} MB in memory, more than the {allowed >> 20} MB that it may "
                f"({EXPANSION} times its size and {ALLOWANCE >> 20} MB), and was not loaded. If you trust it, read it "
                "with numpy.load."
            )

        def read(name: str) -> np.ndarray:
            with _readable(path), file.open(f"{name}.npy") as stored:
                return np.lib.format.read_array(stored, allow_pickle=False)

        yield {name: shape for name, (shape, _) in headers.items()}, read


def _header(file: zipfile.ZipFile, member: zipfile.ZipInfo, kinds: str) -> tuple[tuple[int, ...], np.dtype]:
    with file.open(member) as stored:
        version = np.lib.format.read_magic(stored)
        reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, kind = reader(stored)
    if kind.kind not in kinds or kind.hasobject or any(size < 0 for size in shape):
        raise ValueError(f"{member.filename} holds something other than numbers, or has no valid shape")
    return shape, kind


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except UnreadableNpz:
        raise
    except Exception as problem:  # zipfile, zlib, and NumPy's reader of headers raise errors of many kinds
        raise UnreadableNpz(f"{str(path)!r} is not a readable .npz file: {problem}. Get it anew.") from None
