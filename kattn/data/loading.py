"""Labelled images: one small interface over the digits in the wheel, TFDS names, folders of images and arrays.

Images are uint8 arrays of (image, height, width, channel) with raw values 0-255, labels are class numbers. Nothing here
needs Keras or TensorFlow. Every split is seeded and disjoint from the others: what a source does not split itself
(`validation`, and `test` where there is none) is taken out of its training part, each class in proportion.
"""

from __future__ import annotations

import inspect
import logging
import numbers
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from kattn.data.arrays import ARRAYS, DIGITS_SIZE, digits, from_arrays, received, resized, show_as_rgb
from kattn.data.checks import Targets, check_dataset
from kattn.data.dataset import SPLITS, Dataset, Raw, Request
from kattn.data.errors import DataError
from kattn.data.image_folder import folder
from kattn.data.resizing import check_resizing, check_size
from kattn.data.splits import NAME, POSITION, WAYS, limited, split_up
from kattn.data.stored import StoredImages
from kattn.data.tfds.prepared import find_prepared, root_of
from kattn.data.tfds.reading import tfds_dataset

log = logging.getLogger("kattn")

DECIDED = {
    "data",
    "channels",
    "classes",
    "limit",
    "splits",
    "cache",
    "max_pixels",
    "any_values",
}  # by the caller, never by a file


def load(
    data: Any,
    *,
    image_size: int | tuple[int, int] | None = None,
    channels: int | None = None,
    classes: int | None = None,
    targets: Targets = None,
    validation: float = 0.1,
    split_seed: int = 0,
    split_by: str = NAME,
    limit: int | None = None,
    splits: Sequence[str] = SPLITS,
    on_error: str = "raise",
    data_dir: str | Path | None = None,
    cache: bool | None = None,
    max_pixels: int | None = None,
    resize: str = "crop",
    interpolation: str = "bicubic",
    any_values: bool = False,
) -> Dataset:
    """Load labelled images and split them.

    Args:
        data: "digits" (scikit-learn's handwritten digits, no download), a TFDS name such as "cifar10", a folder
            (`class/image`, or `train/class/image` and `test/class/image`; classes of two levels: `make/model/image`),
            arrays `(images, labels)`, `((images, labels), (test_images, test_labels))` or
            {"train": (images, labels), ...}, or a Dataset. Labels are class numbers, or rows of 0 and 1 (images,
            attributes) where an image can have several; TFDS's attributes ("celeb_a") come as such.
            "office/Art:office/Clipart", or {"train": "office/Art", "test": "office/Clipart"}, trains on one source and
            tests on another of the same classes: all images of each.
        image_size: Height and width (or one number for both) to bring the images to, as `resize` says. None keeps them
            (digits: 16x16). Arrays passed in are never resized: a difference is an error.
        channels: 3 shows grey images as RGB and lays transparent parts on white. 1 or 4: image files are read so,
            arrays must come so. None keeps what the source has (digits and folders: 3).
        classes: The model's classes, where known: a label beyond is an error. None: as many as the data have.
        targets: What the labels are: "classes", "attributes" (rows of 0 and 1), "values" (numbers of a regression) or
            "map" (the class of each pixel; 255 for none), or a function of the labels that says which. Folders and TFDS
            have classes or attributes only. None: rows of 0 and 1 are attributes, anything else classes.
        validation: Share of the training part that is kept for validation where the source has no such part, 0-0.9.
        split_seed: Seed of the splits, apart from the training's seed: seeds are compared on the same images.
        split_by: "name": which part an image file of a folder goes to is drawn from its name ("class/file") and the
            seed, so that no image moves when others are added or removed, and shares are met about. "position": drawn
            from the place among the images of its class, as for arrays, digits and TFDS, which have no names, and as
            folders were split by a kattn before.
        limit: At most so many images of each split, each class in proportion: for trials.
        splits: What is wanted: with ("test",) a source that keeps its parts apart reads that one only.
        on_error: "raise" stops at a file that cannot be read, and at a class that a part or a source lacks; "skip"
            leaves these out, counts and logs them.
        data_dir: Where TFDS keeps its data; None is TFDS's own choice (TFDS_DATA_DIR, then the home folder).
        cache: True decodes all images now and keeps them in memory. False leaves those of a folder or of TFDS on disk
            and decodes each one whenever it is asked for, as ImageNet needs; an image that cannot be read then shows
            when it comes up (with "skip" all are decoded once beforehand). The images are the same. None keeps what
            takes at most a quarter of the machine's memory. Two sources (A:B) are always kept.
        max_pixels: The largest width x height of an image file that is decoded; None is kattn.data.images.MAX_PIXELS.
        resize: "crop" scales the shorter side and cuts out the middle; "stretch" changes the proportions; "pad" scales
            the longer side and fills the borders with black.
        interpolation: One of nearest, box, bilinear, hamming, bicubic, lanczos.
        any_values: Keep arrays of other values than 0-255 as they are, as float32, in place of an error.

    Returns: The Dataset: splits `train`, `validation` and `test` of uint8 images (image, height, width, channel) and
        their labels.
    Raises: DataError (a ValueError) for data that cannot be used as asked.
    """
    if on_error not in ("raise", "skip"):
        raise DataError(f"on_error must be 'raise' or 'skip'. Received: on_error={on_error!r}")
    if not isinstance(validation, numbers.Real) or not 0 <= validation <= 0.9:
        raise DataError(f"validation is a share of the training images, 0 to 0.9. Received: validation={validation!r}")
    if limit is not None and not (isinstance(limit, numbers.Integral) and limit >= 1):
        raise DataError(f"limit is a number of images of at least 1. Received: limit={limit!r}")
    if not isinstance(split_seed, numbers.Integral) or not 0 <= split_seed < 1 << 64:
        raise DataError(f"split_seed is a whole number from 0. Received: split_seed={split_seed!r}")
    if data_dir is not None and not isinstance(data_dir, str | os.PathLike):
        raise DataError(f"data_dir is a folder. Received: data_dir={data_dir!r}")
    if split_by not in WAYS:
        raise DataError(f"split_by must be 'name' or 'position'. Received: split_by={split_by!r}")
    check_resizing(resize, interpolation)
    size = DIGITS_SIZE if image_size is None and isinstance(data, str) and data == "digits" else None
    if image_size is not None:
        sides = image_size if isinstance(image_size, tuple | list) else (image_size, image_size)
        check_size(sides)
        size = (int(sides[0]), int(sides[1]))
    if isinstance(data, Dataset):
        return check_dataset(limited(data, limit), size, channels, classes, splits)
    at_most = None if limit is None else 20 * limit + 1000  # enough to find every class, without reading everything
    wanted = Request(size, channels, splits, on_error, data_dir, at_most, cache, max_pixels, resize, interpolation)
    raw = _read(data, wanted)
    dataset = limited(split_up(raw, validation, split_seed, splits, classes, any_values, targets, split_by), limit)
    if (channels or raw.channels) == 3:
        dataset = _mapped(dataset, show_as_rgb)
    if size is not None and raw.name != ARRAYS:
        dataset = _mapped(dataset, lambda images: resized(images, size, resize, interpolation))
    return check_dataset(dataset, size, channels, classes, splits)


def source_names(data: str) -> list[str]:
    """The sources that a text names: one, or two with a colon between. A TFDS version ("mnist:3.0.1") is none."""
    return [data] if _is_folder(data) else re.split(r":(?!\d+\.\d+\.\d+(?::|$))", data)


def spec_of(data: Any) -> str | None:
    """The data as a text that `load` takes, wherever the process runs: folders by absolute paths; None for arrays."""
    if isinstance(data, Mapping) and list(data) == ["train", "test"]:
        texts = [spec_of(source) for source in data.values()]
        return None if None in texts else ":".join(map(str, texts))
    if not isinstance(data, (str, Path)):
        return None
    names = source_names(str(data))
    return ":".join(os.path.abspath(Path(name).expanduser()) if _is_folder(name) else name for name in names)


def local_data_dir(data: Any, *data_dirs: str | Path | None, who: str, option: str = "data") -> str | Path | None:
    """Where data lie that a file names, so that reading them downloads nothing.

    Args:
        data: As the file names them. What is no text needs no folder.
        data_dirs: Folders of TFDS to look into, the first one first; None is TFDS's own choice.
        who: What names the data, for errors.
        option: By which a caller can name data, for errors.

    Returns: The first of the folders that has the data.
    Raises: DataError where none has.
    """
    for data_dir in data_dirs:
        if not isinstance(data, str) or all(_is_here(name, data_dir) for name in source_names(data)):
            return data_dir
    places = ", ".join(dict.fromkeys(str(root_of(data_dir)) for data_dir in data_dirs))
    raise DataError(
        f"{who} names the data {data!r:.200}, which are neither a folder here nor prepared under {places}. Nothing is "
        f"downloaded because a file says so: if you want them, pass {option}={data!r:.200}; data_dir= says where they "
        "are."
    )


def usual_settings() -> dict[str, Any]:
    """What `load` takes where nothing is said, by argument."""
    arguments = inspect.signature(load).parameters.values()
    return {one.name: one.default for one in arguments if one.default is not one.empty}


def stored_settings(settings: Mapping[str, Any], who: str) -> dict[str, Any]:
    """The settings of a run as arguments of `load`, which checks their values. Raises: DataError for any others.

    A run that was trained before its way of splitting was recorded split by position.
    """
    known = inspect.signature(load).parameters.keys() - DECIDED
    if unknown := settings.keys() - known:
        raise DataError(f"{who} has settings of its data that are not known here: {', '.join(sorted(unknown))[:200]}.")
    return {"split_by": POSITION, **settings}


def _is_folder(name: str | Path) -> bool:
    try:
        return Path(name).expanduser().is_dir()
    except (OSError, ValueError, RuntimeError):  # too long, not a path at all, or of a user who is not here
        return False


def _is_here(name: str, data_dir: str | Path | None) -> bool:
    if name == "digits" or _is_folder(name):
        return True
    try:
        return find_prepared(root_of(data_dir), name) is not None
    except (DataError, OSError, ValueError):  # no name of TFDS, or no path
        return False


def _read(data: Any, request: Request) -> Raw:
    """Find the source behind what the user typed."""
    if isinstance(data, str) and len(named := source_names(data)) == 2:
        data = dict(zip(("train", "test"), named, strict=True))
    if isinstance(data, Mapping) and data and all(isinstance(source, (str, Path)) for source in data.values()):
        whole = replace(request, splits=SPLITS, cache=True)
        return _transfer({split: _read(source, whole) for split, source in data.items()}, request.on_error)
    if isinstance(data, (tuple, list, Mapping)):
        return from_arrays(data)
    if isinstance(data, str) and data == "digits":
        return digits()
    if isinstance(data, Path) or (isinstance(data, str) and _is_folder(data)):
        return folder(Path(data).expanduser(), request)
    if isinstance(data, str) and data:
        return tfds_dataset(data, request)
    raise DataError(f"data is 'digits', a TFDS name, a folder, arrays or a kattn.data.Dataset. {received(data)}")


def _transfer(sources: Mapping[str, Raw], on_error: str) -> Raw:
    """One source a split: all the images of each, of the same classes."""
    first = next(iter(sources.values()))
    names = [raw.name for raw in sources.values()]
    if len(set(names)) < len(names):
        raise DataError(
            f"{':'.join(names)} would be tested on images that it is trained on. Name a source once: its own test "
            "images are kept apart."
        )
    every = [list(raw.class_names or ()) for raw in sources.values()]
    shared = [one for one in every[0] if all(one in others for others in every)]
    differ = sorted(set().union(*every) - set(shared))
    if differ and (on_error == "raise" or not shared):
        some = ", ".join(differ[:10])
        raise DataError(f"{' and '.join(names)} differ in their classes: {some}. (on_error='skip' leaves them out.)")
    if differ:
        log.warning("%d classes that not every source has left out: %s", len(differ), ", ".join(differ))
    parts, files, keys = {}, {}, {}
    for split, raw in sources.items():
        pieces = list(raw.parts.values())
        if len({images.shape[1:] for images, _ in pieces}) > 1:
            raise DataError(f"{raw.name} holds images of several sizes: pass image_size.")
        images, labels = (np.concatenate(part) for part in zip(*pieces, strict=True))
        if raw.class_names and list(raw.class_names) != shared:  # the same number for the same class
            number = np.array([shared.index(one) if one in shared else -1 for one in raw.class_names])
            kept = np.flatnonzero(number[labels] >= 0)
            images, labels = images[kept], number[labels[kept]]
        else:
            kept = np.arange(len(labels))
        parts[split] = (images, labels)
        if raw.files:
            files[split], keys[split] = (np.concatenate(list(of.values()))[kept] for of in (raw.files, raw.keys))
    mirror = all(raw.mirror for raw in sources.values())
    paths = [raw.source.get("path", raw.name) for raw in sources.values()]
    source = {"path": ":".join(paths)} if paths != names else {}
    return Raw(":".join(names), parts, shared or None, mirror, first.channels, source, files, keys)


def _mapped(dataset: Dataset, change: Callable[[np.ndarray], np.ndarray]) -> Dataset:
    """Every array of images changed; stored ones are read as they are wanted."""
    train, validation, test = (
        part if isinstance(part.images, StoredImages) else replace(part, images=change(part.images))
        for part in dataset.parts()
    )
    return replace(dataset, train=train, validation=validation, test=test)
