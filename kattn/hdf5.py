"""Keras's files of weights and models, whose values are HDF5: written whole, and read without trusting them.

They are written in memory first and reach the disk in one plain write, because the HDF5 library ends the whole process
when the disk is full. Reading follows no link, visits no object twice, and stops at the limits below. The library
crashes on some damaged files and never comes back from others: every file is read in a child first (`kattn.apart`).
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from kattn.apart import ChildEnded, UnforeseenError, run_apart
from kattn.files import naming, write_bytes

EXPANSION = 16  # a file's content may take so many times the file's size in memory
ALLOWANCE = 64 << 20  # and so many bytes more
MOST_OBJECTS = 200_000  # groups and tensors in one file
DEEPEST = 64  # groups within groups
SECONDS, SPEED = 8.0, 20 << 20  # what reading a file may take: so long, and the time for its bytes a second
NUMBERS = "biufV"  # kinds of NumPy types that a tensor may have; V is how bfloat16 is stored


class UnreadableFile(ValueError):
    """A file that is damaged, refers to data outside it, or takes far more memory than its size lets expect."""


class MemoryFile(io.BytesIO):
    """A `.weights.h5` file in memory, for `model.save_weights` and `model.load_weights`.

    Keras takes the text of what it is given for the file's name, and looks at how the name ends. Its content is taken
    by `getvalue`, which copies nothing: a `getbuffer` that an error kept alive ends Python 3.12.1 when it is collected.
    """

    def __str__(self) -> str:
        return "memory.weights.h5"


def write_weights(model: Any, path: str | os.PathLike[str], attributes: Mapping[str, str] | None = None) -> None:
    """Write a Keras model's weights as `.weights.h5`, whole or not at all, and attributes of the file.

    Raises: OSError, such as a full disk.
    """
    memory = MemoryFile()
    with naming(Path(path)):
        model.save_weights(memory)
    if attributes:
        with h5py.File(memory, "r+") as file:
            file.attrs.update(attributes)
    write_bytes(Path(path), memory.getvalue())


def write_model(model: Any, path: str | os.PathLike[str]) -> None:
    """Write a Keras model as `.keras`, whole or not at all. Raises: OSError, such as a full disk."""
    memory = io.BytesIO()
    # A file object has no name that could end in .keras. With zipped=False Keras does not ask for one, and writes the
    # same archive.
    with naming(Path(path)):  # Keras makes a folder among the temporary files
        model.save(memory, zipped=False)
    write_bytes(Path(path), memory.getvalue())


def largest_content(size: int) -> int:
    """How many bytes the content of a file of so many bytes may take in memory."""
    return EXPANSION * size + ALLOWANCE


class Hdf5:
    """The content of an open HDF5 file, every object of which was looked at. `open_hdf5` makes it.

    Attributes:
        shapes: Of all tensors, by path ("layers/dense/vars/0").
    """

    def __init__(self, file: h5py.File, name: str, size: int) -> None:
        self._file, self._name = file, name
        with self._readable():
            objects = dict(_objects(file, largest_content(size)))
            self.shapes = {path: tuple(one.shape) for path, one in objects.items() if isinstance(one, h5py.Dataset)}
            self._groups = objects.keys() - self.shapes.keys()

    def read(self, path: str) -> np.ndarray:
        """The values of a tensor; those that Keras stored as bfloat16, which NumPy does not know, as float32."""
        with self._readable():
            value = self._file[path][()]
            if value.dtype.kind == "V":
                import ml_dtypes

                value = value.view(ml_dtypes.bfloat16).astype("float32")
            return value

    def read_structure(self) -> None:
        """Read all that is not plain numbers in a row: attributes, and tensors in chunks, which may be compressed."""
        for path in ("/", *self._groups, *self.shapes):
            self.attributes(path)
        for path in self.shapes:
            with self._readable():
                chunked = self._file[path].chunks is not None
            if chunked:
                self.read(path)

    def attributes(self, path: str = "/") -> dict[str, Any]:
        """The attributes of a group or tensor; empty where there is no such group."""
        with self._readable():
            return dict(self._file[path].attrs) if path in self._file else {}

    @contextlib.contextmanager
    def _readable(self) -> Iterator[None]:
        """Whatever h5py raises for a damaged file, as one kind of error."""
        try:
            yield
        except UnreadableFile as problem:
            raise UnreadableFile(f"{self._name} {problem}") from None
        except Exception as problem:
            raise UnreadableFile(f"{self._name} is not a readable HDF5 file: {problem}. Get it anew.") from None


@contextlib.contextmanager
def open_hdf5(source: Path | io.BytesIO, name: str = "") -> Iterator[Hdf5]:
    """An HDF5 file that holds its own data.

    Args:
        source: A path, or a file in memory.
        name: What errors call it. Default: the path.

    Raises: UnreadableFile, a ValueError, for any other file.
    """
    name = name or repr(str(source))
    _read_apart(source, name)
    with _opened(source, name) as content:
        yield content


@contextlib.contextmanager
def _opened(source: Path | io.BytesIO, name: str) -> Iterator[Hdf5]:
    try:
        file = h5py.File(source, "r")
    except Exception as problem:
        raise UnreadableFile(f"{name} is not a readable HDF5 file: {problem}. Get it anew.") from None
    with file:
        size = source.stat().st_size if isinstance(source, Path) else source.getbuffer().nbytes
        yield Hdf5(file, name, size)


_read: set[tuple[int, ...]] = set()  # the files that were read apart and have not changed since


def _read_apart(source: Path | io.BytesIO, name: str) -> None:
    """Have a child read a file first, as far as the library could fail in it. Raises: UnreadableFile."""
    with contextlib.ExitStack() as stack:
        if not isinstance(source, Path):
            path = Path(stack.enter_context(tempfile.TemporaryDirectory()), "a.h5")
            path.write_bytes(source.getvalue())
            source = path
        try:
            about = source.stat()
        except OSError:  # there is none: opening it says so
            return
        mark = (about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns)
        if mark in _read:
            return
        try:
            run_apart(
                f"{__name__}:read_structure",
                "The HDF5 library",
                errors=(UnreadableFile,),
                seconds=SECONDS + about.st_size / SPEED,
                path=str(source.absolute()),
                name=name,
            )
        except (ChildEnded, UnforeseenError) as problem:
            raise UnreadableFile(f"{name} is not a readable HDF5 file. {problem} Get it anew.") from None
        except OSError:  # no child can be started; a file that cannot be opened is said to be one by who opens it
            return
        _read.add(mark)


def read_structure(path: str, name: str) -> None:
    """The task of the child. Raises: UnreadableFile."""
    with memory_limited(largest_content(os.stat(path).st_size)), _opened(Path(path), name) as content:
        content.read_structure()


@contextlib.contextmanager
def memory_limited(more: int) -> Iterator[None]:
    """Let this process take so many bytes more, where the system can limit it."""
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (ImportError, OSError):
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_AS)
    limit = pages * resource.getpagesize() + more + ALLOWANCE
    if before[1] != resource.RLIM_INFINITY:
        limit = min(limit, before[1])
    resource.setrlimit(resource.RLIMIT_AS, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def _objects(file: h5py.File, allowed: int) -> Iterator[tuple[str, h5py.Group | h5py.Dataset]]:
    """All groups and tensors by path. Raises: UnreadableFile, whose message goes on after the file's name."""
    waiting: list[tuple[str, h5py.Group]] = [("", file)]
    seen = {_address(file)}
    left = allowed
    while waiting:
        path, group = waiting.pop()
        for key in group:
            where = f"{path}{key}"
            if not isinstance(group.get(key, getlink=True), h5py.HardLink):
                raise UnreadableFile(f"holds a link in place of data ({where}) and was not loaded.")
            item = group[key]
            if (address := _address(item)) in seen:
                raise UnreadableFile(f"holds one object under two names ({where}) and was not loaded.")
            seen.add(address)
            if len(seen) > MOST_OBJECTS or where.count("/") > DEEPEST:
                raise UnreadableFile(
                    f"holds more than {MOST_OBJECTS:,} objects, or groups within more than {DEEPEST} groups, and was "
                    "not loaded. Is it a file of weights?"
                )
            if isinstance(item, h5py.Group):
                waiting.append((f"{where}/", item))
                yield where, item
                continue
            left -= _bytes(item, where)
            if left < 0:
                raise UnreadableFile(
                    f"swells to more than {allowed >> 20} MB in memory, {EXPANSION} times its size and "
                    f"{ALLOWANCE >> 20} MB, and was not loaded. If you trust it, read it with h5py and write it anew "
                    "without compression."
                )
            yield where, item


def _bytes(item: Any, where: str) -> int:
    """What reading a tensor takes: its values, or one chunk of them where a chunk is larger."""
    if not isinstance(item, h5py.Dataset) or item.dtype.kind not in NUMBERS or item.shape is None:
        raise UnreadableFile(f"holds something other than numbers ({where}) and was not loaded.")
    if item.external or item.is_virtual:
        raise UnreadableFile(f"refers to another file ({where}) and was not loaded.")
    return max(math.prod(item.shape), math.prod(item.chunks or ())) * item.dtype.itemsize


def _address(item: Any) -> tuple[int, int]:
    about = h5py.h5o.get_info(item.id)
    return about.fileno, about.addr
