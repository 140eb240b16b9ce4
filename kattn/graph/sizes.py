"""How large a model that a configuration describes would be, without making room for it."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Callable, Mapping
from typing import Any

MARGIN = 16_000_000  # weights that a model may have beyond twice those of its file


class TooLarge(ValueError):
    """A configuration that describes a far larger model than its file has weights for."""


def check_size(build: Callable[[], Any], stored: Mapping[str, tuple[int, ...]]) -> None:
    """Check that the model of a small configuration is not many gigabytes large, before it is built.

    Args:
        build: Makes the model; called once here.
        stored: Shapes of the tensors in the model's file.

    Raises: TooLarge.
    """
    found: list[int] = []

    def count() -> None:
        import keras

        # No variable gets a value here; Keras keeps a list of those that lack one, for each thread its own. What cannot
        # be built is an error when it is built in earnest.
        with contextlib.suppress(Exception), keras.StatelessScope(initialize_variables=False):
            model = build()
            found.append(sum(math.prod(variable.shape) for variable in model.variables))

    thread = threading.Thread(target=count)
    thread.start()
    thread.join()
    held = sum(map(math.prod, stored.values()))
    if found and found[0] > 2 * held + MARGIN:
        raise TooLarge(f"it describes a model of {found[0]:,} weights, but {held:,} are stored")
