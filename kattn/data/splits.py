"""Splits that a source does not come with are taken out of its training part, seeded and disjoint.

Images that have names (the files of a folder) are split by their names: the part of an image depends on its own name
and the seed alone, so that none moves when others are added or removed. All others are drawn by their positions.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from kattn.data.checks import VOID, Targets, checked_split
from kattn.data.dataset import SPLITS, Dataset, Raw, Split
from kattn.data.errors import DataError
from kattn.data.identity import draws

log = logging.getLogger("kattn")

TEST_FRACTION = 0.2  # of a source that comes as one piece
NAME, POSITION = "name", "position"  # what images are split by
WAYS = (NAME, POSITION)


def split_up(
    raw: Raw,
    validation: float,
    seed: int,
    splits: Sequence[str],
    classes: int | None,
    any_values: bool = False,
    targets: Targets = None,
    split_by: str = NAME,
) -> Dataset:
    """The splits of a source, each part checked; what is missing is taken out of the training part.

    Args:
        raw: The source.
        validation: Share of the training part that becomes the validation split where there is none.
        seed: Of the draw.
        splits: Those that are wanted; the others come out empty.
        classes: The model's classes, a label beyond which is an error. None: as many as the data have.
        any_values: Keep arrays of other values than bytes.
        targets: What the labels are, as in `kattn.data.load`.
        split_by: "name" where images have names, or "position", as every kattn before did.

    Raises: DataError for parts of other names, and for images or labels that cannot be used.
    """
    unknown = sorted(set(raw.parts) - set(SPLITS))
    if unknown:
        raise DataError(f"Splits are called {', '.join(SPLITS)}. Received: {', '.join(map(repr, unknown))}")
    parts = {
        name: replace(
            checked_split(*pair, f"{raw.name} ({name})", classes, any_values, targets),
            files=raw.files.get(name),
            keys=raw.keys.get(name) if split_by == NAME else None,
        )
        for name, pair in raw.parts.items()
    }
    if "test" not in parts and "validation" in parts:
        log.info("%s has no labelled test part: its validation part is the test, validation comes from train", raw.name)
        parts["test"] = parts.pop("validation")
    if "test" not in parts and "train" in parts:
        parts["train"], parts["test"] = carve(parts["train"], TEST_FRACTION, seed, 1)
    if "validation" not in parts and "train" in parts and validation:
        parts["train"], parts["validation"] = carve(parts["train"], validation, seed, 2)
    names = raw.class_names or [str(i) for i in range(_class_count(list(parts.values())))]
    sample = next(iter(parts.values()))
    nothing = sample.take(slice(0, 0))
    kept = {name: parts.get(name, nothing) if name in splits else nothing for name in SPLITS}
    return Dataset(raw.name, tuple(names), **kept, mirror=raw.mirror, source=raw.source)


def _class_count(parts: Sequence[Split]) -> int:
    """How many classes, attributes or values the labels tell of."""
    labels = parts[0].labels
    if labels.ndim == 2 or labels.dtype.kind == "f":
        return labels.shape[-1]
    kept = [part.labels if labels.ndim == 1 else part.labels[part.labels != VOID] for part in parts if len(part)]
    return max(int(part.max(initial=0)) for part in kept) + 1


def carve(split: Split, fraction: float, seed: int, stage: int) -> tuple[Split, Split]:
    """Two disjoint splits: the rest, and `fraction` of every class.

    Of a class of one image nothing is taken, of any other at least one image and never all. By position the share is
    exact (rounded); by name each image is taken with this probability, whatever the others are.
    """
    if split.keys is None:
        apart = _by_position(split, fraction, seed, stage)
    else:
        apart = _by_name(split, draws(split.keys, seed, stage), fraction)
    return split.take(np.flatnonzero(~apart)), split.take(np.flatnonzero(apart))


def _by_name(split: Split, drawn: np.ndarray, fraction: float) -> np.ndarray:
    apart = drawn < fraction
    for members in _classes(split):
        if len(members) > 1 and not apart[members].any():
            apart[members[drawn[members].argmin()]] = True
        if apart[members].all():
            apart[members[drawn[members].argmax()]] = False
    return apart


def _by_position(split: Split, fraction: float, seed: int, stage: int) -> np.ndarray:
    rng = np.random.default_rng([seed, stage])
    apart = np.zeros(len(split), bool)
    if split.labels.ndim != 1:
        apart[rng.permutation(len(split))[: round(fraction * len(split))]] = True
    for members in map(rng.permutation, _classes(split)):
        count = min(len(members) - 1, max(1, round(fraction * len(members))))
        apart[members[:count]] = True
    return apart


def _classes(split: Split) -> Iterator[np.ndarray]:
    """The positions of the images of each class, of labels that are class numbers."""
    for label in np.unique(split.labels) if split.labels.ndim == 1 else ():
        yield np.flatnonzero(split.labels == label)


def limited(dataset: Dataset, limit: int | None) -> Dataset:
    """At most `limit` images a split: the first of every class, then the second of every class, and so on."""
    if limit is None:
        return dataset

    def cut(split: Split) -> Split:
        rank = np.zeros(len(split), int)
        for members in _classes(split):
            rank[members] = np.arange(len(members))
        return split.take(np.sort(np.argsort(rank, kind="stable")[:limit]))

    return replace(dataset, train=cut(dataset.train), validation=cut(dataset.validation), test=cut(dataset.test))
