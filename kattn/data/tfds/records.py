"""TFRecord files of tf.train.Example, read without TensorFlow.

A record is its length (8 bytes, little endian), a checksum (4), the data and another checksum (4). The data are a
protocol buffer: Example.features (1) holds a map `feature` (1) from name (1) to Feature (2), and that is one of
bytes_list (1), float_list (2), int64_list (3), each with its `value` (1), numbers packed or one by one.
"""

from __future__ import annotations

import contextlib
import mmap
import struct
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from kattn.data.errors import DataError

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # protocol buffer wire types
BYTES_LIST, FLOAT_LIST = 1, 2  # fields of Feature; int64_list is 3


def locate(path: Path, names: Collection[str]) -> Iterator[tuple[int, int, dict[str, list[Any]]]]:
    """Where each record of a file lies: its first byte, its length, and these of its features; the rest stays unread.

    Raises: DataError for a file that cannot be read, that breaks off or that is no TFRecord.
    """
    with _explained(path):
        with open(path, "rb") as file:
            size = file.seek(0, 2)
            if not size:
                return
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        if hasattr(content, "madvise"):
            content.madvise(mmap.MADV_RANDOM)  # else the system reads on into the pictures
        view, start = memoryview(content), 0
        while start < size:
            length = struct.unpack("<Q", view[start : start + 8])[0] if start + 12 <= size else size
            start += 12
            if start + length + 4 > size:
                raise DataError(f"{path} breaks off in the middle of a record, or is no TFRecord file.")
            yield start, length, _example(view[start : start + length], names)
            start += length + 4


def example_at(path: Path, start: int, length: int, names: Collection[str]) -> dict[str, list[Any]]:
    """These features of the record that `locate` found there. Raises: DataError as there."""
    with _explained(path), open(path, "rb") as file:
        file.seek(start)
        return _example(memoryview(file.read(length)), names)


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Errors of reading and of damaged records as DataError."""
    try:
        yield
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    except (IndexError, KeyError, TypeError, struct.error, UnicodeDecodeError) as error:
        raise DataError(f"{path} holds a record that is no tf.train.Example.") from error


def _example(data: memoryview, names: Collection[str]) -> dict[str, list[Any]]:
    features: dict[str, list[Any]] = {}
    for _, message in _fields(data):
        for _, entry in _fields(message):
            pair = dict(_fields(entry))
            name = _bytes(pair[1]).decode()
            if name in names:
                features[name] = _values(pair.get(2, memoryview(b"")))
    return features


def _values(feature: memoryview) -> list[Any]:
    values: list[Any] = []
    for kind, message in _fields(feature):
        for _, value in _fields(message):
            if kind == BYTES_LIST:
                values.append(_bytes(value))
            elif kind == FLOAT_LIST:
                values.extend(struct.unpack(f"<{len(value) // 4}f", value))
            elif isinstance(value, int):
                values.append(_signed(value))
            else:
                position = 0
                while position < len(value):
                    number, position = _varint(value, position)
                    values.append(_signed(number))
    return values


def _bytes(value: Any) -> bytes:
    """A field that must hold bytes; of a number, bytes() would make so many of them."""
    if isinstance(value, int):
        raise TypeError
    return bytes(value)


def _fields(data: memoryview) -> Iterator[tuple[int, Any]]:
    """The fields of a message: number, and bytes or an integer."""
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        kind = key & 7
        if kind == VARINT:
            value, position = _varint(data, position)
            yield key >> 3, value
            continue
        if kind not in (FIXED64, BYTES, FIXED32):
            raise IndexError
        length = {FIXED64: 8, FIXED32: 4}.get(kind)
        if length is None:
            length, position = _varint(data, position)
        if position + length > len(data):
            raise IndexError
        yield key >> 3, data[position : position + length]
        position += length


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        value |= (byte & 127) << shift
        position, shift = position + 1, shift + 7
        if byte < 128:
            return value, position
        if shift > 63:
            raise IndexError


def _signed(number: int) -> int:
    return number - (1 << 64) if number >= 1 << 63 else number
