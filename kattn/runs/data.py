"""Whether the data of a run are still those that it was trained on, and whether its test images are new to it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kattn.data.dataset import SPLITS, Dataset, fingerprint
from kattn.data.errors import DataError
from kattn.data.identity import contents
from kattn.files import shown
from kattn.runs.folder import RunFolder

log = logging.getLogger("kattn")

TRAINED_ON = {"test": ("train", "validation"), "validation": ("train",)}  # what a split must hold none of
OTHER_DATA = "pass data= with images that it has not seen (a folder with a part called test is taken whole), "


def images_of(dataset: Dataset) -> dict[str, np.ndarray]:
    """What a run keeps of its images: a number of each one's content, by split. Empty where these are not known."""
    found = {name: contents(getattr(dataset, name)) for name in SPLITS}
    known = {name: one for name, one in found.items() if one is not None}
    return known if len(known) == len(found) else {}


def check_unchanged(
    path: Path,
    config: Mapping[str, Any],
    dataset: Dataset,
    split: str,
    *,
    alike: bool = True,
    way_out: str = OTHER_DATA,
) -> None:
    """Compare the images of a split with those of the run. Other images are a warning where it was not trained on them.

    Args:
        path: The run's folder.
        config: Its config.json.
        dataset: The run's own data.
        split: The one that is used.
        alike: Whether the images are read as the run read them, so that fingerprints can be compared.
        way_out: What can be done beside making the data what they were or training anew, for errors.

    Raises: DataError where images that it was trained on are among them, or where there are more or fewer images and
        nobody knows which these are.
    """
    before = config["data"].get("fingerprint")
    # Without its limit, how many images a run took is not known.
    known = isinstance(before, Mapping) and split in before and "limit" in config["data"]
    if not known or (alike and before[split] == fingerprint(getattr(dataset, split))):
        return
    count, counted = len(getattr(dataset, split)), config["data"].get("images", {}).get(split, "other")
    changed = f"{dataset.name} is not what {path} was trained on ({split}: {counted} images then, {count} now)"
    ways_out = f"Make the data what they were, {way_out}or train anew."
    if split not in TRAINED_ON:
        log.log(logging.WARNING if alike else logging.INFO, "%s", changed)
        return
    seen = seen_by(path, dataset, split)
    if not alike and (seen is None or not len(seen)):
        return
    if seen is None and count != counted:
        raise DataError(f"{changed}, and which images it was trained on is not recorded. {ways_out}")
    if seen is None:  # another version of a decoder gives other pixels
        log.warning("%s; which of them it was trained on is not recorded", changed)
        return
    if len(seen):
        raise DataError(f"{changed}, and {_some(dataset, split, seen)}. {ways_out}")
    log.warning("%s; it was trained on none of these images", changed)


def warn_of_seen(path: Path, dataset: Dataset, split: str) -> None:
    """Say in the log how many images of a split the run was trained on, of data that the caller chose."""
    seen = seen_by(path, dataset, split)
    if seen is not None and len(seen):
        log.warning("%s: %s", dataset.name, _some(dataset, split, seen).replace("it was", f"{path} was"))


def seen_by(path: Path, dataset: Dataset, split: str) -> np.ndarray | None:
    """The positions of the images of a split that a run was trained on; those that it was tested on too do not count.

    Returns: The positions; None where the run's images are not recorded, or these are too many to compare.
    """
    recorded = RunFolder(path).read_images()
    if not recorded or split not in TRAINED_ON:
        return None
    now = contents(getattr(dataset, split))
    if now is None:
        return None
    trained = [recorded[name] for name in TRAINED_ON[split] if name in recorded]
    known = np.isin(now, np.concatenate(trained)) & ~np.isin(now, recorded.get(split, ()))
    return np.flatnonzero(known)


def _some(dataset: Dataset, split: str, seen: np.ndarray) -> str:
    part = getattr(dataset, split)
    example = "" if part.files is None else f", such as {shown(part.files[seen[0]])}"
    return f"{len(seen)} of its {len(part)} {split} images are images that it was trained on{example}"
