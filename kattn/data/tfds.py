"""TFDS data sets, read with numpy and Pillow: the same images in the same order whether or not TensorFlow is there.

tensorflow-datasets itself is needed (and imported) only to download and prepare a data set that is not on disk yet.
"""

from __future__ import annotations

import difflib
import io
import json
import logging
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from kattn.data.loading import DataError, Raw, check_size, eight_bits, fit_picture
from kattn.data.records import example_at, examples, locate
from kattn.data.stored import StoredImages, keep_decoded, stored

log = logging.getLogger("kattn")

CHUNK = 1024  # records decoded together
Record = TypeVar("Record")


def tfds_dataset(
    name: str,
    size: tuple[int, int] | None,
    channels: int | None,
    splits: Sequence[str],
    on_error: str,
    data_dir: str | Path | None,
    at_most: int | None = None,
    cache: bool | None = None,
) -> Raw:
    """Read a data set of images with one class label each, or with attributes that each is there or not ("celeb_a").

    Args:
        name: As in `tfds.load`: "cifar10", "name/config", "name:version" or "name/config:version".
        size: Height and width to scale and cut the images to; needed where they differ in size.
        channels: 3 or 1, for images that stay on disk; those in memory come as they are.
        splits: The splits wanted; others are left unread where that changes nothing.
        on_error: "raise" or "skip", for images that cannot be decoded or have another number of channels than most of
            the others, and for files that break off.
        data_dir: The folder that holds the data sets; None is TFDS_DATA_DIR, then ~/tensorflow_datasets.
        at_most: Read no more than so many images of a split. All are read where the test images are taken from among
            them: a limit must not change which these are.
        cache: Whether decoded images are kept in memory; see `kattn.data.load`.

    Raises: DataError for an unknown name, and for a data set that is not images with a class label or attributes.
    """
    root = Path(data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()
    folder = find_prepared(root, name) or _prepare(root, name, data_dir)
    info = json.loads((folder / "dataset_info.json").read_text())
    if info.get("fileFormat", "tfrecord") != "tfrecord":
        raise DataError(f"{folder} is stored as {info['fileFormat']}; kattn reads tfrecord. Prepare it in that format.")
    features = json.loads((folder / "features.json").read_text()).get("featuresDict", {}).get("features", {})
    image_key, label_keys, class_names = _keys(folder, features, name)
    dimensions = features[image_key]["image"].get("shape", {}).get("dimensions", [])
    depth = {"1": 1, "3": 3, "4": 3}.get(str(dimensions[-1])) if dimensions else None
    shards = {split["name"]: _shards(folder, info, split) for split in info["splits"]}
    held_out = [split for split in ("test", "validation") if split in shards]
    most = at_most if held_out else None
    counts = {split["name"]: sum(map(int, split["shardLengths"])) for split in info["splits"]}
    images_in_all = sum(count if most is None else min(most, count) for count in counts.values())
    shown = channels or depth or 3  # of images that stay on disk
    shape = _shape(dimensions, size, shown)
    keep = keep_decoded(cache, images_in_all, shape)
    parts: dict[str, tuple[np.ndarray | StoredImages, np.ndarray]] = {}
    for split in ("test", "validation", "train"):
        if split not in shards or (split == "train" and parts and tuple(splits) == ("test",)):
            continue
        where = f"{name} ({split})"
        images: np.ndarray | StoredImages
        if keep:
            images, labels = _read(shards[split], image_key, label_keys, depth, size, on_error, most, where)
        else:
            images, labels = _find(shards[split], image_key, label_keys, shown, size, shape, on_error, most, where)
        if len(labels) and (labels == -1).all():
            log.info("%s: the split %s has no labels and is not used", name, split)
            held_out.remove(split)
        else:
            parts[split] = (images, labels)
    if not parts:
        raise DataError(f"{name} has none of the splits train, validation, test. It has: {', '.join(shards)}.")
    return Raw(
        name,
        {split: parts[split] for split in ("train", "validation", "test") if split in parts},
        class_names=class_names,
        mirror=not re.match(r"(e?mnist|kmnist|svhn|.*digit|omniglot)", name),
        source={"version": info.get("version", ""), "decoder": "pillow"},
    )


def find_prepared(root: Path, name: str) -> Path | None:
    """The folder of a prepared data set, newest version first, or None."""
    path, _, version = name.partition(":")
    if not re.fullmatch(r"\w+(/[\w.-]+)?", path):
        raise DataError(f"{name!r} is neither a folder nor a TFDS name (name, name/config, name:version).")
    versions = sorted((root / path).glob("*/dataset_info.json"), key=lambda file: _version(file.parent.name))
    named = [file.parent for file in versions if re.fullmatch(r"\d+\.\d+\.\d+", file.parent.name)]
    matching = [folder for folder in named if not version or folder.name == version]
    return matching[-1] if matching else None


def _prepare(root: Path, name: str, data_dir: str | Path | None) -> Path:
    """Let tensorflow-datasets download and write the data set."""
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise DataError(
            f"{name!r} is not among the data sets under {root}, and there is no tensorflow-datasets here to download "
            "it: set data_dir or TFDS_DATA_DIR to where it is, or install tensorflow and tensorflow-datasets."
        ) from error
    base = re.split(r"[/:]", name)[0]
    known = tfds.list_builders(with_community_datasets=False)
    if base not in known:
        close = difflib.get_close_matches(base, [*known, "digits"], n=3, cutoff=0.5)
        hint = f" Closest: {', '.join(close)}." if close else ""
        raise DataError(f"Unknown data {name!r}: no folder of this name, and not in TFDS.{hint} Embedded: digits.")
    log.warning("%s is not under %s: tensorflow-datasets downloads and prepares it", name, root)
    try:
        builder = tfds.builder(name, data_dir=data_dir, file_format="tfrecord")
        builder.download_and_prepare()
    except Exception as error:  # whatever stands between here and the source: network, disk, a manual download
        raise DataError(
            f"{name} is not under {root} and could not be downloaded: {str(error).strip()[:300]}"
        ) from error
    return Path(builder.data_path)


def _read(
    shards: list[Path],
    image_key: str,
    label_keys: list[str],
    channels: int | None,
    size: tuple[int, int] | None,
    on_error: str,
    at_most: int | None,
    where: str,
) -> tuple[np.ndarray, np.ndarray]:
    images: list[np.ndarray] = []
    labels: list[list[int]] = []
    failed = 0
    with ThreadPoolExecutor() as pool:
        for chunk in _chunks(shards, at_most, on_error):
            encoded = [example[image_key][0] for example in chunk]
            pictures = pool.map(lambda data: _decode(data, channels, size), encoded)
            for example, picture in zip(chunk, pictures, strict=True):
                if isinstance(picture, np.ndarray):
                    images.append(picture)
                    check_size(picture, images[0], where)
                    labels.append([int(example[key][0]) for key in label_keys])
                elif on_error == "raise":
                    raise DataError(
                        f"{where}: image {len(images)} is not readable: {picture} (on_error='skip' goes on.)"
                    )
                else:
                    failed += 1
    if failed:
        log.warning("%s: %d images that are not readable left out", where, failed)
    if not images:
        raise DataError(f"{where} holds no readable image.")
    depths = Counter(image.shape[2] for image in images).most_common()
    if len(depths) > 1:
        found = " and ".join(f"{count} images of {depth} channels" for depth, count in depths)
        if on_error == "raise":
            raise DataError(f"{where} holds {found}. (on_error='skip' keeps those of {depths[0][0]} channels.)")
        log.warning("%s: %s; only those of %d channels are kept", where, found, depths[0][0])
        kept = [i for i, image in enumerate(images) if image.shape[2] == depths[0][0]]
        images, labels = [images[i] for i in kept], [labels[i] for i in kept]
    table = np.array(labels, "int32")
    return np.stack(images), table[:, 0] if len(label_keys) == 1 else table


def _find(
    shards: list[Path],
    image_key: str,
    label_keys: list[str],
    channels: int,
    size: tuple[int, int] | None,
    shape: tuple[int, int, int] | None,
    on_error: str,
    at_most: int | None,
    where: str,
) -> tuple[StoredImages, np.ndarray]:
    """What `_read` gives, with the images left on disk."""
    places: list[tuple[int, int, int]] = []
    labels: list[list[int]] = []
    for number, shard in enumerate(shards):
        for start, length, example in _unbroken(locate(shard, label_keys), on_error):
            if len(places) == at_most:
                break
            places.append((number, start, length))
            labels.append([int(example[key][0]) for key in label_keys])
    table = np.array(places, "int64").reshape(-1, 3)

    def decode(image: int) -> np.ndarray | Exception:
        number, start, length = table[image].tolist()
        return _decode(example_at(shards[number], start, length, {image_key})[image_key][0], channels, size)

    images, found = stored(decode, labels, shape, on_error, where)
    return images, found[:, 0] if len(label_keys) == 1 else found


def _shape(dimensions: list[Any], size: tuple[int, int] | None, channels: int) -> tuple[int, int, int] | None:
    """Of a decoded image, where it is known beforehand."""
    if size is not None:
        return (*size, channels)
    sides = [int(side) for side in dimensions[:2]]
    return (sides[0], sides[1], channels) if len(sides) == 2 and min(sides) > 0 else None


def _chunks(shards: list[Path], at_most: int | None, on_error: str) -> Iterator[list[dict[str, Any]]]:
    chunk: list[dict[str, Any]] = []
    for count, example in enumerate(one for shard in shards for one in _unbroken(examples(shard), on_error)):
        if count == at_most:
            break
        chunk.append(example)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _unbroken(records: Iterator[Record], on_error: str) -> Iterator[Record]:
    """The records of a file; of one that breaks off those before, where that is no error."""
    count = 0
    try:
        for record in records:
            yield record
            count += 1
    except DataError as error:
        if on_error == "raise":
            raise DataError(f"{error} (on_error='skip' goes on with the next file.)") from error
        log.warning("what comes after image %d left out: %s", count, error)


def _decode(encoded: bytes, channels: int | None, size: tuple[int, int] | None) -> np.ndarray | Exception:
    """Pixels of so many channels; None keeps grey images grey."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(encoded)) as file:
            grey = file.mode == "L" if channels is None else channels == 1
            picture = eight_bits(file).convert("L" if grey else "RGB")
            pixels = np.asarray(picture if size is None else fit_picture(picture, size))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        return error
    return pixels if pixels.ndim == 3 else pixels[..., None]


def _keys(folder: Path, features: dict[str, Any], name: str) -> tuple[str, list[str], list[str]]:
    """The names of the image and of the label (or of all attributes) in a record, and the names of the classes."""
    images = [key for key, value in features.items() if "image" in value]
    labels = [key for key, value in features.items() if "classLabel" in value]
    flags = {key: flag for key, value in features.items() if len(flag := _flags(value)) > 1}
    if not images or not (labels or flags):
        known = ", ".join(sorted(features))
        raise DataError(f"{name} is not images with a class label or attributes. Its features: {known}.")
    image = "image" if "image" in images else images[0]
    if labels:
        label = "label" if "label" in labels else labels[0]
        return image, [label], _class_names(folder, features, label)
    group = next(iter(flags))
    return image, [f"{group}/{flag}" for flag in flags[group]], flags[group]


def _flags(feature: dict[str, Any]) -> list[str]:
    """Names of the yes-or-no features in a group of features, in TFDS's order."""
    inside = feature.get("featuresDict", {}).get("features", {})
    return sorted(key for key, value in inside.items() if value.get("tensor", {}).get("dtype") == "bool")


def _class_names(folder: Path, features: dict[str, Any], label_key: str) -> list[str]:
    file = folder / f"{label_key}.labels.txt"
    if file.exists():
        return file.read_text(encoding="utf-8").splitlines()
    return [str(label) for label in range(int(features[label_key]["classLabel"]["numClasses"]))]


def _shards(folder: Path, info: dict[str, Any], split: dict[str, Any]) -> list[Path]:
    """The files of a split, in order."""
    template = split.get("filepathTemplate") or "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
    count = len(split["shardLengths"])
    names = {"DATASET": info["name"], "SPLIT": split["name"], "FILEFORMAT": "tfrecord"}
    shards = []
    for index in range(count):
        numbers = {"SHARD_INDEX": f"{index:05d}", "NUM_SHARDS": f"{count:05d}"}
        shards.append(folder / template.format(SHARD_X_OF_Y=f"{index:05d}-of-{count:05d}", **names, **numbers))
    return shards


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", text))
