"""A folder of images, one sub-folder a class."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from kattn.data.dataset import Raw, Request
from kattn.data.errors import DataError
from kattn.data.folder_layout import labelled_parts
from kattn.data.identity import keys_of
from kattn.data.image_files import Found, copies, find_images
from kattn.data.images import Notes, Reading
from kattn.data.memory import keep_decoded
from kattn.data.stored import gather
from kattn.files import shown

log = logging.getLogger("kattn")

COMPARED = 50_000  # files up to which copies are looked for

File = tuple[Path, int]  # and its label


def folder(root: Path, request: Request) -> Raw:
    """Read `root/class/image` or `root/part/class/image` with part one of train, val(idation), test.

    Classes are the sub-folders in alphabetical order; where every one of them holds nothing but folders, these are
    classes of two levels, "make/model". A class's images are all those inside, at any depth. Folders beside the parts,
    parts without class folders and files that are no images are left out and logged; images that are there twice are
    counted and logged. What systems leave behind (hidden files, __MACOSX, thumbnails) is not looked at. Symbolic links
    are followed; see `kattn.data.image_files.find_images`.

    Args:
        root: The folder.
        request: How to read it. "skip" leaves out files that cannot be read, and classes that a part lacks.

    Raises: DataError where the folder, a class or a file is not as described, or where the class folders of the parts
        differ.
    """
    if not root.is_dir():
        raise DataError(f"{root} is not a folder. Images come as {root}/class/image.png.")
    channels = request.channels or 3
    folders = labelled_parts(root)
    class_names = _same_classes(root, folders, request.on_error)
    found = {name: {one: find_images(classes[one]) for one in class_names} for name, classes in folders.items()}
    Found(others=[file for inside in found.values() for one in inside.values() for file in one.others]).log_others(root)
    class_names = _filled(class_names, folders, found, request.on_error)
    each = None if request.at_most is None or len(found) == 1 else -(-request.at_most // len(class_names))
    files = {
        name: [(file, label) for label, one in enumerate(class_names) for file in inside[one].images[:each]]
        for name, inside in found.items()
    }
    _log_copies(root, files)
    shape = (*request.size, channels) if request.size else None
    keep = keep_decoded(request.cache, sum(map(len, files.values())), shape)
    notes = Notes(str(root), at_once=not keep)
    read = request.reader(channels)
    parts, paths, keys = {}, {}, {}
    for name, listed in files.items():
        decode, labels = functools.partial(_decode, listed, read, notes), [label for _, label in listed]
        where = f"{root} ({name})"
        images, kept, numbers = gather(decode, labels, shape, keep=keep, on_error=request.on_error, where=where)
        _check_left(folders[name], class_names, kept)
        parts[name] = (images, kept)
        chosen = [listed[number] for number in numbers]
        paths[name] = np.array([str(file) for file, _ in chosen], object)
        keys[name] = keys_of([_name(file, class_names[label], folders[name]) for file, label in chosen])
    notes.log()
    source = {"path": os.path.abspath(root)}
    return Raw(str(root), parts, class_names, channels=channels, source=source, files=paths, keys=keys)


def _same_classes(root: Path, folders: dict[str, dict[str, Path]], on_error: str) -> list[str]:
    """The classes that every part has; that a part lacks one is an error, or logged."""
    shared = [name for name in next(iter(folders.values())) if all(name in classes for classes in folders.values())]
    differ = sorted(set().union(*folders.values()) - set(shared))
    if differ and (on_error == "raise" or not shared):
        raise DataError(
            f"{root}: the class folders of {', '.join(folders)} differ: {', '.join(differ[:10])} not in each of them. "
            f"({len(differ)} such classes; on_error='skip' leaves them out.)"
        )
    if differ:
        log.warning("%s: %d classes that not every part has left out: %s", root, len(differ), ", ".join(differ))
    return shared


def _filled(
    class_names: list[str], folders: dict[str, dict[str, Path]], found: dict[str, dict[str, Found]], on_error: str
) -> list[str]:
    """The classes with images in every part; that one has none is an error, or logged."""
    empty = {one: name for name, inside in found.items() for one in class_names if not inside[one].images}
    if empty and (on_error == "raise" or len(empty) == len(class_names)):
        one, name = next(iter(empty.items()))
        raise DataError(
            f"{folders[name][one]} holds no images. ({len(empty)} such classes; on_error='skip' leaves them out.)"
        )
    if empty:
        log.warning("%d classes without images left out: %s", len(empty), ", ".join(empty))
    return [one for one in class_names if one not in empty]


def _name(file: Path, one: str, folders: dict[str, Path]) -> str:
    """What tells an image of a class from all others, wherever the folder lies: "class/file"."""
    return f"{one}/{file.relative_to(folders[one]).as_posix()}"


def _decode(files: list[File], read: Callable[[Path], Reading], notes: Notes, number: int) -> np.ndarray:
    return notes.add(read(files[number][0]))


def _check_left(folders: dict[str, Path], class_names: list[str], labels: Iterable[int]) -> None:
    """Leaving out files may leave a class without any."""
    if empty := sorted(set(range(len(class_names))) - set(labels)):
        raise DataError(f"{folders[class_names[empty[0]]]} holds no readable image. Remove the folder, or mend them.")


def _log_copies(root: Path, files: dict[str, list[File]]) -> None:
    """Say how many images are there more than once: a test image that was trained on is no test."""
    places = {file: (part, label) for part, listed in files.items() for file, label in listed}
    if len(places) > COMPARED:
        return
    groups = copies(places)
    parts = [group for group in groups if len({places[file][0] for file in group}) > 1]
    labels = [group for group in groups if len({places[file][1] for file in group}) > 1]
    within = groups if len(files) == 1 else []
    for kind, those in (
        ("in more than one part of the data", parts),
        ("in more than one class", labels),
        ("there more than once, and may be split between training and test", within),
    ):
        if those:
            example = " = ".join(shown(file.relative_to(root)) for file in those[0][:2])
            log.warning("%s: %d images are %s, such as %s", root, len(those), kind, example)
