"""What a prepared TFDS data set holds, by the files that tensorflow-datasets writes beside the images."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kattn.data.errors import DataError
from kattn.reading import read_json, read_text

MOST_SHARDS, MOST_CLASSES = 100_000, 1_000_000
TEMPLATE = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"


@dataclass(frozen=True)
class Prepared:
    """A data set on disk.

    Attributes:
        version: Of the data set.
        shards: The files of each split, in order.
        counts: The images of each split.
        image_key: The name of the image in a record.
        label_keys: The name of the label in a record, or of every attribute.
        class_names: Of the classes, or of the attributes.
        sides: Height and width of every image, where they are known beforehand.
        channels: 1 or 3, where it is known beforehand; opacity is not counted.
    """

    version: str
    shards: dict[str, list[Path]]
    counts: dict[str, int]
    image_key: str
    label_keys: list[str]
    class_names: list[str]
    sides: tuple[int, int] | None
    channels: int | None


def root_of(data_dir: str | os.PathLike[str] | None) -> Path:
    """Where data sets lie: data_dir, else TFDS_DATA_DIR, else tensorflow_datasets in the home folder."""
    return Path(data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()


def find_prepared(root: Path, name: str) -> Path | None:
    """The folder of a prepared data set, newest version first, or None. Raises: DataError for what is no TFDS name."""
    path, _, version = name.partition(":")
    if not re.fullmatch(r"\w+(/[\w-][\w.-]*)?", path):
        raise DataError(f"{name!r} is neither a folder nor a TFDS name (name, name/config, name:version).")
    files = [file for file in (root / path).glob("*/dataset_info.json") if _version(file.parent.name)]
    versions = sorted((file.parent for file in files), key=lambda folder: _version(folder.name) or ())
    matching = [folder for folder in versions if not version or folder.name == version]
    return matching[-1] if matching else None


def read_prepared(folder: Path, name: str) -> Prepared:
    """What a data set holds; nothing of the images is read.

    Raises: DataError for a data set that is not images with a class label or attributes, that is stored in another
        format than TFRecord, or whose files are damaged.
    """
    try:
        info, features = read_json(folder / "dataset_info.json"), read_json(folder / "features.json")
        return _prepared(folder, name, info, features.get("featuresDict", {}).get("features", {}))
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"{error.filename} cannot be read: {error.strerror}. Prepare {name} again.") from error
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"{folder}: dataset_info.json or features.json is not as tensorflow-datasets writes it "
            f"({type(error).__name__}: {error}). Prepare {name} again."
        ) from error


def _prepared(folder: Path, name: str, info: dict[str, Any], features: dict[str, Any]) -> Prepared:
    if info.get("fileFormat", "tfrecord") != "tfrecord":
        raise DataError(f"{folder} is stored as {info['fileFormat']}; kattn reads tfrecord. Prepare it in that format.")
    image_key, label_keys, class_names = _keys(folder, features, name)
    dimensions = features[image_key]["image"].get("shape", {}).get("dimensions", [])
    sides = tuple(int(side) for side in dimensions[:2])
    return Prepared(
        version=info.get("version", ""),
        shards={split["name"]: _shards(folder, info["name"], split) for split in info["splits"]},
        counts={split["name"]: sum(map(int, split["shardLengths"])) for split in info["splits"]},
        image_key=image_key,
        label_keys=label_keys,
        class_names=class_names,
        sides=(sides[0], sides[1]) if len(sides) == 2 and min(sides) > 0 else None,
        channels={"1": 1, "3": 3, "4": 3}.get(str(dimensions[-1])) if dimensions else None,
    )


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
    file = _inside(folder, f"{label_key}.labels.txt")
    if file.exists():
        return read_text(file).splitlines()
    if (count := int(features[label_key]["classLabel"]["numClasses"])) > MOST_CLASSES:
        raise DataError(f"{folder}: {count:,} classes; more than {MOST_CLASSES:,} are not read.")
    return [str(label) for label in range(count)]


def _shards(folder: Path, name: str, split: dict[str, Any]) -> list[Path]:
    """The files of a split, in order."""
    template = split.get("filepathTemplate") or TEMPLATE
    if (count := len(split["shardLengths"])) > MOST_SHARDS:
        raise DataError(f"{folder}: {count:,} files of one split; more than {MOST_SHARDS:,} are not read.")
    fields = {"DATASET": name, "SPLIT": split["name"], "FILEFORMAT": "tfrecord", "NUM_SHARDS": f"{count:05d}"}
    pieces = re.split(r"\{(\w+)\}", template)  # text and fields by turns; nothing else that format() knows
    if any(brace in text for text in pieces[::2] for brace in "{}"):
        raise DataError(f"{folder}: dataset_info.json names files by a template that is not known: {template!r:.200}")
    shards = []
    for index in range(count):
        fields |= {"SHARD_INDEX": f"{index:05d}", "SHARD_X_OF_Y": f"{index:05d}-of-{count:05d}"}
        shards.append(_inside(folder, "".join(fields[text] if i % 2 else text for i, text in enumerate(pieces))))
    return shards


def _inside(folder: Path, name: str) -> Path:
    """A file directly in the folder, whatever the data set's own files call it."""
    if Path(name).name != name or name in ("", "..") or "\\" in name or "\0" in name:
        raise DataError(f"{folder}: its files name {name!r:.200}, which is no file of this folder.")
    return folder / name


def _version(text: str) -> tuple[int, ...] | None:
    return tuple(map(int, text.split("."))) if re.fullmatch(r"\d+\.\d+\.\d+", text) else None
