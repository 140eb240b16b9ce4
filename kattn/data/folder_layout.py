"""What the folders inside a folder of images are: parts of the data, classes, or neither.

Nothing is guessed that changes what a model learns: where folders can be taken in two ways, the error names them.
"""

from __future__ import annotations

import logging
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from kattn.data.errors import DataError
from kattn.data.image_files import find_images, folders_in, some
from kattn.files import shown

log = logging.getLogger("kattn")

PART = re.compile(
    r"(?P<before>.*[ _-])?(?P<part>train(ing)?|val(id|idation)?|test(ing)?)([ _-]?(set|data|images))?", re.IGNORECASE
)
SPLIT_OF = {"tr": "train", "va": "validation", "te": "test"}  # by the first letters of a part's name


def labelled_parts(root: Path) -> dict[str, dict[str, Path]]:
    """The class folders by part and by class name; the whole folder is the training part where it has no parts.

    What is left out (other folders beside the parts, parts without labels, images beside class folders) is logged.

    Raises: DataError for a folder that cannot be read, without class folders, or that can be taken in two ways.
    """
    folders = {part: _class_folders(path) for part, path in _parts(root).items()}
    unlabelled = {
        part: next(iter(classes))
        for part, classes in folders.items()
        if len(classes) == 1 and part != "train" and not set(classes) <= set(folders.get("train", classes))
    }
    for part, only in unlabelled.items():
        log.warning("%s: the %s part left out: it holds no class of the training part, only %s", root, part, only)
    kept = {part: classes for part, classes in folders.items() if part not in unlabelled}
    if inner := next((name for classes in kept.values() for name in classes if "/" in name), None):
        log.warning(
            "%s: class folders hold folders only: each inner one is a class of its own, such as %s", root, inner
        )
    return kept


def part_of(name: str) -> str | None:
    """The split that a folder's name stands for, or None."""
    match = PART.fullmatch(name)
    return SPLIT_OF[match["part"][:2].lower()] if match and not match["before"] else None


def _named_parts(folders: Iterable[Path]) -> dict[Path, str]:
    """The folders that are named as parts, of those that lie together: "test", or "cars_test" beside "cars_train"."""
    found = [(path, match) for path in folders if (match := PART.fullmatch(path.name))]
    named = [(path, match["before"] or "", SPLIT_OF[match["part"][:2].lower()]) for path, match in found]
    training = {before for _, before, part in named if part == "train"}
    together = training & {before for _, before, part in named if part != "train"}
    return {path: part for path, before, part in named if not before or before in together}


def _parts(root: Path) -> dict[str, Path]:
    """The folder of each part, or the whole folder as the training part where it has none."""
    folders = folders_in(root)
    if not folders:
        raise DataError(f"{root} has no sub-folders. Images come as {root}/class/image.png.")
    named = _named_parts(folders)
    others = [path for path in folders if path not in named]
    bare = [path for path in named if not folders_in(path)]  # parts without labels, or classes of that name
    parts: dict[str, Path] = {}
    for path, part in named.items():
        if path not in bare and part in parts:
            raise DataError(f"{root}: {parts[part].name} and {path.name} are both the {part} part. Keep one of them.")
        if path not in bare:
            parts[part] = path
    if not parts:
        _check_classes(root, others, bare)
        return {"train": root}
    if "train" not in parts and (others or bare):
        raise DataError(
            f"{root}: {some(parts.values())} holds class folders, as a part of the data does, and beside it lies "
            f"{some(others + bare)}. Put the training images into {root}/train/class, or move away what is no part."
        )
    if bare:
        log.warning("%s: parts without class folders left out: %s", root, some(bare))
    if others:
        log.warning("%s: folders beside %s left out: %s", root, some(parts.values()), some(others))
    _log_beside(root)
    return parts


def _check_classes(root: Path, others: list[Path], bare: list[Path]) -> None:
    """Tell classes that are named as parts ("train" among vehicles) from parts without class folders."""
    if not others or len(bare) > 1:
        raise DataError(f"{root}: {some(bare)} hold no class folders. Images come as {bare[0]}/class/image.png.")
    for path in bare:
        if path.name.lower() not in ("train", "valid"):
            raise DataError(
                f"{root}: {path.name} lies beside class folders and holds none. If it is a part of the data without "
                "labels, move it away; if it is a class, rename it."
            )
        log.warning("%s: %s is taken for a class, since it holds no class folders", root, shown(path.name))


def _log_beside(folder: Path) -> None:
    """Say which images lie beside the folders that are read."""
    if beside := find_images(folder, inside=False).images:
        log.warning("%s: %d images beside the folders left out: %s", folder, len(beside), some(beside))


def _class_folders(part: Path) -> dict[str, Path]:
    """The class folders of a part by name, of one level or of two."""
    _log_beside(part)
    folders = folders_in(part)
    inside = {path: folders_in(path) for path in folders}
    for path, subs in inside.items():
        misplaced = any(part_of(sub.name) and folders_in(sub) for sub in subs)
        if misplaced or (subs and all(part_of(sub.name) for sub in subs)):
            way_out = f"lay them out as {part}/train/class/image.png"
            if misplaced and len(folders) == 1:
                way_out = f"pass {path}"
            raise DataError(f"{part}: {path.name} holds {some(subs)}, named as parts of the data: {way_out}.")
    if not all(inside.values()) or any(find_images(path, inside=False).images for path in folders):
        return _by_name(part, [((path.name,), path) for path in folders])
    return _by_name(part, [((path.name, sub.name), sub) for path, subs in inside.items() for sub in subs])


def _by_name(part: Path, folders: list[tuple[tuple[str, ...], Path]]) -> dict[str, Path]:
    """Class folders by class name, in alphabetical order."""
    named: dict[tuple[str, ...], Path] = {}
    for levels, path in folders:
        name = tuple(map(_class_name, levels))
        if name in named:
            raise DataError(f"{part}: {named[name].name!r} and {path.name!r} are one class name written in two ways.")
        named[name] = path
    names = ["/".join(name) for name in named]
    if alike := [name for name, count in Counter(map(str.casefold, names)).items() if count > 1]:
        log.warning("%s: class names that differ in capitals only: %s", part, ", ".join(alike))
    return {"/".join(name): named[name] for name in sorted(named)}


def _class_name(name: str) -> str:
    """A folder's name as text that any file can hold: composed (macOS decomposes accents), and printable."""
    text = unicodedata.normalize("NFC", os.fsencode(name).decode("utf-8", "replace"))
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
