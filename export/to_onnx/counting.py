"""Count what an .onnx file holds before it is parsed: an empty operator takes 2 bytes in it, and a hundred in memory.

Only keys and lengths of the protocol buffer are read (its schema is onnx.proto); weights are skipped.
"""

from __future__ import annotations

import mmap
from pathlib import Path

from kattn.export.errors import ExportError

# Message: its fields that are messages again and may hold many others.
MESSAGES: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {6: "graph", 11: "graph"},
}
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types
FIXED = {FIXED64: 8, FIXED32: 4}


def has_more_fields(path: Path, most: int) -> bool:
    """Whether a file has more than so many fields. Raises: ExportError for a damaged file; OSError."""
    with open(path, "rb") as file:
        if not file.seek(0, 2):
            return False
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            try:
                return _count(content, most) > most
            except IndexError:
                raise ExportError("it is no ONNX graph") from None


def _count(content: mmap.mmap, most: int) -> int:
    """The number of fields, or one more than `most`. Raises: IndexError where a length leads out of its message."""
    count = 0
    waiting = [("model", 0, len(content))]
    while waiting and count <= most:
        message, place, end = waiting.pop()
        while place < end and count <= most:
            count += 1
            key, place = _varint(content, place)
            number, wire = key >> 3, key & 7
            if wire == VARINT:
                _, place = _varint(content, place)
                continue
            if wire == BYTES:
                length, place = _varint(content, place)
            elif wire in FIXED:
                length = FIXED[wire]
            else:
                raise IndexError
            if place + length > end:
                raise IndexError
            if wire == BYTES and (inner := MESSAGES.get(message, {}).get(number)):
                waiting.append((inner, place, place + length))
            place += length
    return count


def _varint(content: mmap.mmap, place: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 70:
        byte = content[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value, place
    raise IndexError
