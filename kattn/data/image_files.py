"""Which files of a folder are images: by content, and by name where that says so; without what systems leave behind."""

from __future__ import annotations

import glob
import hashlib
import logging
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from kattn.data.errors import DataError
from kattn.files import shown

log = logging.getLogger("kattn")

# Files with these endings are taken for images without a look inside. The reader goes by the content.
SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".pjpeg", ".png", ".apng", ".gif", ".webp", ".avif", ".heic", ".heif"}
    | {".bmp", ".dib", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".j2k"}
)
# Left by file managers, servers and archives, in any case of letters. What begins with a dot is left out as well.
JUNK = frozenset(
    {"__macosx", "@eadir", "#recycle", "$recycle.bin", "system volume information", "lost+found", "thumbnails"}
    | {"thumbs.db", "ehthumbs.db", "desktop.ini"}
)
SIGNATURES = {
    "JPEG": rb"\xff\xd8\xff",
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "GIF": rb"GIF8[79]a",
    "WEBP": rb"RIFF....WEBP",
    "BMP": rb"BM....\0\0\0\0....[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0",  # the length of the second header
    "TIFF": rb"II[*+]\0|MM\0[*+]",
    "AVIF": rb"....ftypavi[fs]",
    "HEIF": rb"....ftyp(hei[cxms]|hev[cxms]|mif1|msf1)",
    "JPEG2000": rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51\0",
}
NAMED = 5  # files that a line of the log names


@dataclass
class Found:
    """What a folder holds.

    Attributes:
        images: Files that are images, or by their names should be, sorted.
        others: All other files but junk, sorted.
    """

    images: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)

    def log_others(self, where: str | Path) -> None:
        """Say what is left out."""
        if self.others:
            log.warning("%s: %d files that are no images left out: %s", where, len(self.others), some(self.others))


def find_images(root: Path, *, inside: bool = True) -> Found:
    """Look for image files in a folder.

    Symbolic links are followed wherever they lead, since subsets of data sets are often made of links. A folder that
    was met already is not entered again, nor is one that the link lies in. A link to nothing whose name is that of an
    image counts as an image, so that its loss shows when it is read. Pipes and devices are never opened.

    Args:
        root: The folder. Its own name may be anything.
        inside: Look into the folders inside it as well.

    Raises: DataError for a folder that cannot be read.
    """
    found = Found()
    for file in _files(root, inside, set()):
        (found.images if _is_image(file) else found.others).append(file)
    found.images.sort()
    found.others.sort()
    return found


def files_named(paths: str | Path | Iterable[str | Path]) -> list[Path]:
    """The image files that a user names: files, folders with all that is in them, and patterns such as "photos/*.jpg".

    Args:
        paths: One or several, in order; what a folder or pattern gives is sorted.

    Raises: ValueError for no path, one that is not there, and a folder or pattern without images.
    """
    named = [paths] if isinstance(paths, (str, Path)) else list(paths)
    if not named:
        raise ValueError("no image was named: give files or folders.")
    return [file for given in named for file in _named(Path(given).expanduser())]


def _named(path: Path) -> list[Path]:
    if path.is_dir():
        found = find_images(path)
        if not found.images:
            raise ValueError(f"folder {path} holds no images.")
        found.log_others(path)
        return found.images
    if path.is_file():
        return [path]
    if matches := sorted(map(Path, glob.glob(str(path), recursive=True))):
        return [file for match in matches for file in (_named(match) if match.is_dir() else [match])]
    raise ValueError(f"there is no file or folder {path}.")


def folders_in(root: Path) -> list[Path]:
    """The folders directly in a folder, sorted, without junk. Raises: DataError for a folder that cannot be read."""
    return sorted(Path(entry.path) for entry in _entries(root) if entry.is_dir())


def copies(files: Iterable[Path]) -> list[list[Path]]:
    """Groups of files that hold the same bytes, in the order of the files. Files that cannot be read are in none."""
    by_size: dict[int, list[Path]] = defaultdict(list)
    by_content: dict[bytes, list[Path]] = defaultdict(list)
    for file in files:
        try:
            by_size[file.stat().st_size].append(file)
        except OSError:
            continue
    for same_size in by_size.values():
        for file in same_size if len(same_size) > 1 else ():
            try:
                by_content[hashlib.sha256(file.read_bytes()).digest()].append(file)
            except OSError:
                continue
    return [group for group in by_content.values() if len(group) > 1]


def format_of(start: bytes) -> str | None:
    """The image format of a file by its first 32 bytes, of those formats whose signature nothing else has."""
    return next((name for name, signature in SIGNATURES.items() if re.match(signature, start, re.DOTALL)), None)


def some(files: Iterable[Path | str]) -> str:
    """The names of the first few files, for a message."""
    names = [shown(Path(file).name) for file in files]
    return ", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else "")


def _files(root: Path, inside: bool, visited: set[tuple[int, int]]) -> Iterator[Path]:
    """Regular files, and links to nothing."""
    entries = _entries(root)
    status = os.stat(root)
    if (status.st_dev, status.st_ino) in visited:
        return
    visited.add((status.st_dev, status.st_ino))
    for entry in entries:
        if entry.is_dir():
            if inside:
                yield from _files(Path(entry.path), inside, visited)
        elif entry.is_file() or (entry.is_symlink() and not os.path.exists(entry.path)):
            yield Path(entry.path)


def _entries(root: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(root) as entries:
            found = [one for one in entries if not one.name.startswith(".") and one.name.lower() not in JUNK]
    except OSError as error:
        raise DataError(f"{root} cannot be read: {error.strerror}.") from error
    here = _real_folder(str(root))
    return [one for one in found if not (one.is_symlink() and here.startswith(_real_folder(one.path)))]


def _real_folder(path: str) -> str:
    return os.path.join(os.path.realpath(path), "")


def _is_image(file: Path) -> bool:
    suffix = file.suffix.lower()
    if suffix in SUFFIXES:
        return True
    try:
        with open(file, "rb") as stream:
            kind = format_of(stream.read(32))
    except OSError:
        return False
    return kind is not None and (kind != "TIFF" or not suffix)  # camera raw files begin as TIFF, and hold a preview
