"""What `load` gives: splits of images and labels, and what a source hands over to be split."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kattn.data.images import Reading, read_image
from kattn.data.stored import StoredImages

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Split:
    """Images and labels that belong together.

    Args:
        images: uint8, (images, height, width, channels), values 0-255; an array, or StoredImages, which read as one.
            Arrays of other values, where they were asked for, are float32.
        labels: int32, (images,), class numbers from 0; or uint8, (images, attributes), 1 where an image has one; or
            float32, (images, values), of a regression; or int32, (images, height, width), the class of each pixel.
        files: The file of each image, (images,), of text; None for images that are in no files of their own.
        keys: What the name of each image's file is as a number, (images,); see `kattn.data.identity`.
    """

    images: np.ndarray | StoredImages
    labels: np.ndarray
    files: np.ndarray | None = None
    keys: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        images, labels = (f"{one.dtype} {tuple(one.shape)}" for one in (self.images, self.labels))
        return f"Split(images: {images}, labels: {labels})"

    def take(self, indices: np.ndarray | slice) -> Split:
        """The split of these positions, in this order; stored images stay where they are."""
        images = self.images
        chosen = images.subset(indices) if isinstance(images, StoredImages) else images[indices]
        files, keys = (None if one is None else one[indices] for one in (self.files, self.keys))
        return Split(chosen, self.labels[indices], files, keys)


@dataclass(frozen=True)
class Request:
    """How a source is to be read; see `kattn.data.load`.

    Args:
        size: Height and width to bring the images to; None keeps theirs.
        channels: Of the images; None is the source's own.
        splits: The splits that are wanted; others may be left unread where that changes nothing.
        on_error: "raise" or "skip".
        data_dir: Where TFDS keeps its data.
        at_most: Read about so many images of a part. A source reads all images where the test images are taken from
            among them: a limit must not change which these are.
        cache: Whether decoded images are kept in memory.
        max_pixels: The largest image file that is decoded.
        resize, interpolation: How pictures are brought to the size.
    """

    size: tuple[int, int] | None = None
    channels: int | None = None
    splits: Sequence[str] = SPLITS
    on_error: str = "raise"
    data_dir: str | Path | None = None
    at_most: int | None = None
    cache: bool | None = None
    max_pixels: int | None = None
    resize: str = "crop"
    interpolation: str = "bicubic"

    def reader(self, channels: int | None) -> Callable[..., Reading]:
        """Reads one image file as it is wanted, with so many channels."""
        return functools.partial(
            read_image,
            size=self.size,
            channels=channels,
            resize=self.resize,
            interpolation=self.interpolation,
            max_pixels=self.max_pixels,
        )


@dataclass(frozen=True)
class Raw:
    """What a source holds, before anything is checked, split or resized.

    Args:
        name: For messages and the run's files.
        parts: Images and labels of every part the source has: some of "train", "validation", "test".
        class_names: In the order of the labels; None where only numbers are known.
        mirror: Whether a mirrored image keeps its label. No for characters: flips are left out.
        channels: What to show the images as where the caller does not say: None for as they are.
        source: Anything else that says where the data came from, for the run's files.
        files, keys: Of every part, as in `Split`; empty for images that are in no files of their own.
    """

    name: str
    parts: Mapping[str, tuple[Any, Any]]
    class_names: Sequence[str] | None = None
    mirror: bool = True
    channels: int | None = None
    source: dict[str, Any] = field(default_factory=dict)
    files: Mapping[str, np.ndarray] = field(default_factory=dict)
    keys: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Dataset:
    """The three splits of a classification problem. A split that was not asked for is empty.

    Classes of two levels (a car's make and model) have names of two parts: "audi/a4".
    """

    name: str
    class_names: tuple[str, ...]
    train: Split
    validation: Split
    test: Split
    mirror: bool = True
    source: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        sizes = f"{len(self.train)} training, {len(self.validation)} validation, {len(self.test)} test images"
        what = {"map": "classes a pixel"}.get(self.targets, self.targets)
        return f"{self.name}: {sizes} of {'x'.join(map(str, self.image_shape))}, {len(self.class_names)} {what}"

    def __repr__(self) -> str:
        return f"<Dataset {self}>"

    def parts(self) -> tuple[Split, Split, Split]:
        """Training, validation and test split."""
        return self.train, self.validation, self.test

    @property
    def targets(self) -> str:
        """What the labels are: "classes", "attributes", "values" or "map"."""
        labels = self.train.labels
        return "values" if labels.dtype.kind == "f" else {1: "classes", 2: "attributes"}.get(labels.ndim, "map")

    @property
    def multi_label(self) -> bool:
        """Whether an image has any number of attributes, rather than one class."""
        return self.targets == "attributes"

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of every image."""
        return next((part for part in self.parts() if len(part)), self.train).images.shape[1:]

    def describe(self) -> dict[str, Any]:
        """Name, sizes and a fingerprint: equal for equal data, so that a resumed run can tell."""
        return {
            "name": self.name,
            "classes": len(self.class_names),
            "class_names": list(self.class_names),
            "image_shape": list(self.image_shape),
            "images": {name: len(getattr(self, name)) for name in SPLITS},
            "fingerprint": {name: fingerprint(getattr(self, name)) for name in SPLITS if len(getattr(self, name))},
            **self.source,
        }


def fingerprint(split: Split) -> str:
    """A short hash of all labels and of up to 64 images spread over the split."""
    digest = hashlib.sha256(np.ascontiguousarray(split.labels).tobytes())
    spread = np.linspace(0, len(split) - 1, min(64, len(split))).astype(int)
    digest.update(np.ascontiguousarray(split.images[spread]).tobytes())
    return digest.hexdigest()[:16]
