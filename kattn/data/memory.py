"""How much of the machine's memory images may take."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Sequence

import numpy as np

KEPT_SHARE = 1 / 4  # of the memory, for decoded images; while they are put together they take it twice
DECODING_SHARE = 1 / 8  # of the memory, for the whole pictures that threads decode at one time
SMALL = 1 / 1000  # of that room; smaller pictures are not counted
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

    A picture that is larger than the whole share is decoded alone.
    """

    def __init__(self, pixels: int | None = None) -> None:
        self.pixels = pixels or int(DECODING_SHARE * machine_memory() / BYTES_A_PIXEL)
        self._used = 0
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def taken(self, pixels: int) -> Iterator[None]:
        """Wait until a picture of so many pixels fits, and hold its place inside the block."""
        if pixels < SMALL * self.pixels:
            yield
            return
        with self._changed:
            self._changed.wait_for(lambda: not self._used or self._used + pixels <= self.pixels)
            self._used += pixels
        try:
            yield
        finally:
            with self._changed:
                self._used -= pixels
                self._changed.notify_all()
