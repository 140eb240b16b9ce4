"""Two forms of the same numbers: the fast one, and the one that converts to the cleanest files."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

_STATE = threading.local()


def portable() -> bool:
    """Whether layers should take the form that converters turn into the fewest and most widely supported nodes."""
    return getattr(_STATE, "depth", 0) > 0


def integers() -> bool:
    """Whether every result inside a layer will be quantised, so that its range and its smallest values matter."""
    return getattr(_STATE, "integers", False)


@contextlib.contextmanager
def portable_graphs(*, integers: bool = False) -> Iterator[None]:
    """Within it, in this thread, layers called or traced take their portable form.

    `kattn.export` traces under it, and `kattn.profile` counts under it. All forms give the same numbers but for
    rounding, and all convert: without it a file has some reshapes, transposes and matrix products more.

    Args:
        integers: The form of files that compute in integers.
    """
    before = getattr(_STATE, "depth", 0), getattr(_STATE, "integers", False)
    _STATE.depth, _STATE.integers = before[0] + 1, before[1] or integers
    try:
        yield
    finally:
        _STATE.depth, _STATE.integers = before
