"""How much of the machine's memory images may take."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np

Result = TypeVar("Result")

KEPT_SHARE = 1 / 4  # of the memory, for decoded images; while they are put together they take it twice
DECODING_SHARE = 1 / 8  # of the memory, for the whole pictures that threads decode at one time
SMALL, LARGE = 1 / 1000, 1 / 8  # of that room: smaller pictures are not counted, larger ones decoded one by one
BYTES_A_PIXEL = 16  # of a picture while it is decoded, turned, converted and resized: four copies of 4 bytes
UNKNOWN_MEMORY = 8 * 2**30  # bytes, where the system does not say


def machine_memory() -> int:
    """Bytes of the machine's memory."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return UNKNOWN_MEMORY


def keep_decoded(cache: bool | None, images: int, shape: Sequence[int] | None) -> bool:
    """Whether to hold so many decoded images in memory: as the caller says, else where they fit; see KEPT_SHARE.

    Images whose size is not known before they are decoded are kept.
    """
    if cache is not None or shape is None:
        return cache is not False
    return images * int(np.prod(shape)) <= KEPT_SHARE * machine_memory()


class DecodingRoom:
    """Lets threads decode side by side as long as their pictures together fit into a share of the memory.

    Pictures that take a good part of it are decoded by one thread of their own, one after another: the C library keeps
    freed memory apart for every thread that has used it.

    Args:
        pixels: That are decoded at one time; None is what fits into DECODING_SHARE. A larger picture is decoded alone.
    """

    def __init__(self, pixels: int | None = None) -> None:
        self.pixels = pixels or int(DECODING_SHARE * machine_memory() / BYTES_A_PIXEL)
        self._used = 0
        self._changed = threading.Condition()
        self._large = ThreadPoolExecutor(1, thread_name_prefix="kattn-decode-large")

    def run(self, pixels: int, work: Callable[[], Result]) -> Result:
        """The result of `work`, which decodes a picture of so many pixels; started when there is room for it."""
        if pixels < SMALL * self.pixels:
            return work()
        if pixels > LARGE * self.pixels:
            return self._large.submit(self._counted, pixels, work).result()
        return self._counted(pixels, work)

    def _counted(self, pixels: int, work: Callable[[], Result]) -> Result:
        with self._changed:
            self._changed.wait_for(lambda: not self._used or self._used + pixels <= self.pixels)
            self._used += pixels
        try:
            return work()
        finally:
            with self._changed:
                self._used -= pixels
                self._changed.notify_all()
