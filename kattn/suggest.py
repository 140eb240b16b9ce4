"""Errors for names that do not exist, with the closest ones that do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def closest(name: object, known: Iterable[str], *, count: int = 3) -> list[str]:
    """Up to `count` of the known names, those most like `name` first; none where nothing is alike."""
    return difflib.get_close_matches(str(name), list(known), n=count, cutoff=0.4)


def unknown(what: str, name: object, known: Iterable[str], advice: str = "") -> ValueError:
    """The error for a name that is none of the known: what it should name, what came, the closest names.

    Args:
        what: What the name was to be: "model", "field of a recipe".
        name: What came.
        known: The names there are.
        advice: How to see all names; by default they are listed.
    """
    names = list(known)
    close = closest(name, names)
    hint = f" Closest: {', '.join(close)}." if close else ""
    return ValueError(f"Unknown {what} {name!r}.{hint} {advice or 'All names: ' + ', '.join(names)}.")
