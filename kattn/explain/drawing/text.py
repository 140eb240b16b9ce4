"""Names that come from outside (classes, files, layers) as text that every picture and page can show."""

from __future__ import annotations

import unicodedata

UNKNOWN = "\ufffd"  # the replacement character


def printable(text: object) -> str:
    """The text with what no SVG, HTML or UTF-8 file can hold replaced; line breaks stay.

    That is control characters, and bytes of a file's name that are not UTF-8, which Python reads as lone surrogates.
    """
    return "".join(c if c == "\n" or _is_printable(c) else UNKNOWN for c in str(text))


def label(text: object) -> str:
    """Printable text for matplotlib, which reads what stands between two plain dollar signs as a formula."""
    return printable(text).replace("$", r"\$")


def _is_printable(character: str) -> bool:
    return unicodedata.category(character) not in ("Cc", "Cs") and character not in "\ufffe\uffff"
