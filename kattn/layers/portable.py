"""Two forms of the same numbers: the fast one, and the one that converts to the cleanest files."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

_STATE = threading.local()


def portable() -> bool:
    """Whether layers should take the form that converters turn into the fewest and most widely supported nodes."""
    return getattr(_STATE, "depth", 0) > 0


@contextlib.contextmanager
def portable_graphs() -> Iterator[None]:
    """Within it, in this thread, layers called or traced take their portable form.

    `kattn.export` traces under it, and `kattn.profile` counts under it. Both forms give the same numbers but for
    rounding, and both convert: without it a file has some reshapes, transposes and matrix products more.
    """
    _STATE.depth = getattr(_STATE, "depth", 0) + 1
    try:
        yield
    finally:
        _STATE.depth -= 1
