"""A folder of images, one sub-folder a class."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from kattn.data.loading import DataError, Raw, check_size, eight_bits, fit_picture
from kattn.data.stored import StoredImages, keep_decoded, stored

log = logging.getLogger("kattn")

PARTS = {"train": "train", "training": "train", "val": "validation", "valid": "validation", "validation": "validation"}
PARTS |= {"test": "test", "testing": "test"}
SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}


def folder(
    root: Path,
    size: tuple[int, int] | None,
    channels: int,
    on_error: str,
    at_most: int | None = None,
    cache: bool | None = None,
) -> Raw:
    """Read `root/class/image` or `root/part/class/image` with part one of train, val(idation), test.

    Args:
        root: The folder. Classes are its sub-folders in alphabetical order; hidden files and folders are left out.
            Where every one of them holds nothing but folders, these are classes of two levels, "make/model".
        size: Height and width to scale and cut the images to; None where all have one size.
        channels: 3 for RGB, 1 for grey: images are converted as they are read.
        on_error: "raise" or "skip", for files that are no readable image, and for classes that not every part has.
        at_most: Read about so many images of a part, the first of every class. All are read where the test images are
            taken from among them: a limit must not change which these are.
        cache: Whether decoded images are kept in memory; see `kattn.data.load`.

    Raises: DataError where the folder, a class or a file is not as described, or where the class folders of the parts
        differ.
    """
    if not root.is_dir():
        raise DataError(f"{root} is not a folder. Images come as {root}/class/image.png.")
    if channels not in (1, 3):
        raise DataError(f"Images of a folder are read with 1 or 3 channels. Received: channels={channels}")
    folders = _folders(root)
    if not folders:
        raise DataError(f"{root} has no sub-folders. Images come as {root}/class/image.png.")
    if all(path.name.lower() in PARTS for path in folders):
        parts = {PARTS[path.name.lower()]: path for path in folders}
    else:
        parts = {"train": root}
    class_names = _same_classes(root, {name: _classes(path) for name, path in parts.items()}, on_error)
    if not class_names:
        raise DataError(f"{root} has no class folders. Images come as {root}/class/image.png.")
    each = None if at_most is None or len(parts) == 1 else -(-at_most // len(class_names))
    files = {
        name: [(file, label) for label, sub in enumerate(class_names) for file in _images(path / sub)[:each]]
        for name, path in parts.items()
    }
    for name, path in parts.items():
        _check_classes(path, class_names, files[name])
    shape = (*size, channels) if size else None
    if keep_decoded(cache, sum(map(len, files.values())), shape):
        read = {
            name: _read_part(path, class_names, files[name], size, channels, on_error) for name, path in parts.items()
        }
        return Raw(str(root), read, class_names, channels=channels)
    left = {name: _find_part(path, class_names, files[name], shape, channels, on_error) for name, path in parts.items()}
    return Raw(str(root), left, class_names, channels=channels)


def _same_classes(root: Path, classes: dict[str, list[str]], on_error: str) -> list[str]:
    """The classes that every part has; that a part lacks one is an error, or logged."""
    shared = [name for name in next(iter(classes.values())) if all(name in names for names in classes.values())]
    differ = sorted(set.union(*map(set, classes.values())) - set(shared))
    if differ and on_error == "raise":
        raise DataError(
            f"{root}: the class folders of {', '.join(classes)} differ: {', '.join(differ[:10])} not in each of them. "
            f"({len(differ)} such classes; on_error='skip' leaves them out.)"
        )
    if differ:
        log.warning("%s: %d classes that not every part has left out: %s", root, len(differ), ", ".join(differ))
    return shared


def _check_classes(root: Path, class_names: list[str], files: list[tuple[Path, int]]) -> None:
    counts = np.bincount([label for _, label in files], minlength=len(class_names)) if files else [0]
    if min(counts) == 0:
        raise DataError(
            f"{root / class_names[int(np.argmin(counts))]} holds no images ({', '.join(sorted(SUFFIXES))})."
        )


def _check_left(root: Path, class_names: list[str], labels: Iterable[int]) -> None:
    """Leaving out files may leave a class without any."""
    if empty := sorted(set(range(len(class_names))) - set(labels)):
        raise DataError(f"{root / class_names[empty[0]]} holds no readable image. Remove the folder, or mend them.")


def _find_part(
    root: Path,
    class_names: list[str],
    files: list[tuple[Path, int]],
    shape: tuple[int, int, int] | None,
    channels: int,
    on_error: str,
) -> tuple[StoredImages, np.ndarray]:
    """What `_read_part` gives, with the images left on disk."""

    def decode(number: int) -> np.ndarray | DataError:
        return _decode(files[number][0], shape[:2] if shape else None, channels)

    images, labels = stored(decode, [label for _, label in files], shape, on_error, str(root))
    _check_left(root, class_names, labels.tolist())
    return images, labels


def _read_part(
    root: Path,
    class_names: list[str],
    files: list[tuple[Path, int]],
    size: tuple[int, int] | None,
    channels: int,
    on_error: str,
) -> tuple[np.ndarray, np.ndarray]:
    with ThreadPoolExecutor() as pool:
        pictures: list[np.ndarray | DataError] = []
        first = None
        for picture in pool.map(lambda file: _decode(file[0], size, channels), files):
            pictures.append(picture)
            if isinstance(picture, np.ndarray):
                first = picture if first is None else first
                try:
                    check_size(picture, first, str(root))
                except DataError:
                    pool.shutdown(cancel_futures=True)  # else all the others are read first
                    raise
    failed = [picture for picture in pictures if isinstance(picture, Exception)]
    if failed and on_error == "raise":
        raise DataError(f"{failed[0]} ({len(failed)} such files; on_error='skip' leaves them out.)")
    for error in failed:
        log.warning("left out: %s", error)
    good = [
        (picture, label)
        for picture, (_, label) in zip(pictures, files, strict=True)
        if not isinstance(picture, Exception)
    ]
    if not good:
        raise DataError(f"{root} holds no readable image.")
    if failed:
        log.warning("%s: %d of %d images left out", root, len(failed), len(files))
        _check_left(root, class_names, [label for _, label in good])
    return np.stack([picture for picture, _ in good]), np.array([label for _, label in good], "int32")


def _decode(path: Path, size: tuple[int, int] | None, channels: int) -> np.ndarray | DataError:
    """One file's pixels, or why there are none (so that every bad file is known before the first is reported)."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as file:
            if size is not None:
                file.draft(None, (2 * size[1], 2 * size[0]))  # JPEG: decode no finer than needed
            picture = eight_bits(ImageOps.exif_transpose(file)).convert("RGB" if channels == 3 else "L")
            pixels = np.asarray(picture if size is None else fit_picture(picture, size))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        return DataError(f"{path} is no readable image: {error}")
    return pixels.reshape(*pixels.shape[:2], channels)


def _folders(root: Path) -> list[Path]:
    try:
        return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError as error:
        raise DataError(f"{root} cannot be read: {error.strerror}.") from error


def _classes(root: Path) -> list[str]:
    """The class folders of a part, by their names, or by two levels of them."""
    folders = _folders(root)
    inside = [_folders(folder) for folder in folders]
    images = any(file.suffix.lower() in SUFFIXES for folder in folders for file in folder.iterdir())
    if folders and all(inside) and not images:
        return [f"{folder.name}/{sub.name}" for folder, subs in zip(folders, inside, strict=True) for sub in subs]
    return [folder.name for folder in folders]


def _images(root: Path) -> list[Path]:
    files = (path for path in root.rglob("*") if path.is_file() and not path.name.startswith("."))
    return sorted(path for path in files if path.suffix.lower() in SUFFIXES)
