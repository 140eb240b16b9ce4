"""Images and labels of a TFDS data set."""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from kattn.data.dataset import Raw, Request
from kattn.data.errors import DataError
from kattn.data.images import Notes, Reading
from kattn.data.memory import keep_decoded
from kattn.data.stored import gather
from kattn.data.tfds.download import prepare
from kattn.data.tfds.prepared import Prepared, find_prepared, read_prepared, root_of
from kattn.data.tfds.records import example_at, locate

log = logging.getLogger("kattn")

CHARACTERS = re.compile(r"(e?mnist|kmnist|svhn|.*digit|omniglot)")  # a mirrored one is none, or another

Record = TypeVar("Record")


def tfds_dataset(name: str, request: Request) -> Raw:
    """Read a data set of images with one class label each, or with attributes that each is there or not ("celeb_a").

    tensorflow-datasets is needed only where the data set is not on disk yet. Images are turned as their EXIF entries
    say, which tensorflow-datasets does not do.

    Args:
        name: As in `tfds.load`: "cifar10", "name/config", "name:version" or "name/config:version".
        request: How to read it. "skip" leaves out images that cannot be decoded or that have another number of
            channels than most others, and what follows where a file breaks off. Data sets lie under data_dir, else
            under TFDS_DATA_DIR, else under ~/tensorflow_datasets.

    Raises: DataError for an unknown name, for a data set that is not images with a class label or attributes, and for
        damaged files.
    """
    root = root_of(request.data_dir)
    found = read_prepared(find_prepared(root, name) or prepare(name, root, request.data_dir), name)
    held_out = [split for split in ("test", "validation") if split in found.shards]
    most = request.at_most if held_out else None
    channels = request.channels or found.channels
    sides = request.size or found.sides
    count = sum(count if most is None else min(most, count) for count in found.counts.values())
    keep = keep_decoded(request.cache, count, (*sides, channels or 3) if sides else None)
    notes = Notes(name, at_once=not keep)
    parts: dict[str, tuple[Any, np.ndarray]] = {}
    for split in ("test", "validation", "train"):
        if split not in found.shards or (split == "train" and parts and tuple(request.splits) == ("test",)):
            continue
        where = f"{name} ({split})"
        places, labels = _find(found, split, request.on_error, most)
        if len(labels) and (labels == -1).all():
            log.info("%s: the split %s has no labels and is not used", name, split)
            continue
        read = request.reader(channels)
        decode = functools.partial(_decode, found, split, places, read, notes, where)
        shape = (*sides, channels) if sides and channels else None
        parts[split] = gather(decode, labels, shape, keep=keep, on_error=request.on_error, where=where)[:2]
    notes.log()
    if not parts:
        raise DataError(f"{name} has none of the splits train, validation, test. It has: {', '.join(found.shards)}.")
    return Raw(
        name,
        {split: parts[split] for split in ("train", "validation", "test") if split in parts},
        class_names=found.class_names,
        mirror=not CHARACTERS.match(name),
        source={"version": found.version, "decoder": "pillow"},
    )


def _find(found: Prepared, split: str, on_error: str, at_most: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Where the records of a split lie, (records, 3): file, first byte, length; and their labels."""
    places: list[tuple[int, int, int]] = []
    labels: list[list[int]] = []
    for number, shard in enumerate(found.shards[split]):
        for start, length, example in _unbroken(locate(shard, found.label_keys), on_error):
            if len(places) == at_most:
                break
            places.append((number, start, length))
            labels.append([_value(example, key, shard) for key in found.label_keys])
    table = np.array(labels, "int32").reshape(-1, len(found.label_keys))
    return np.array(places, "int64").reshape(-1, 3), table[:, 0] if len(found.label_keys) == 1 else table


def _decode(
    found: Prepared, split: str, places: np.ndarray, read: Callable[..., Reading], notes: Notes, where: str, image: int
) -> np.ndarray:
    number, start, length = places[image].tolist()
    shard = found.shards[split][number]
    record = example_at(shard, start, length, {found.image_key})
    return notes.add(read(_value(record, found.image_key, shard), name=f"{where}: image {image}"))


def _value(record: dict[str, list[Any]], key: str, file: Path) -> Any:
    """The one value of a feature."""
    if len(record.get(key, ())) != 1:
        raise DataError(f"{file} holds a record without one value of {key!r}.")
    return record[key][0]


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
