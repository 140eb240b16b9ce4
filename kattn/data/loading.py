"""Labelled images: one small interface over the digits in the wheel, TFDS names, folders of images and arrays.

Images are uint8 arrays of (image, height, width, channel) with raw values 0-255, labels are class numbers. Nothing here
needs Keras or TensorFlow. Every split is seeded and disjoint from the others: what a source does not split itself
(`validation`, and `test` where there is none) is taken out of its training part, each class in proportion.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from kattn.data.errors import DataError as DataError
from kattn.data.stored import StoredImages

log = logging.getLogger("kattn")

ARRAYS = "arrays"
SPLITS = ("train", "validation", "test")
TEST_FRACTION = 0.2  # of a source that comes as one piece
DIGITS_SIZE = (16, 16)  # shown at twice their 8x8: three stages of a network then end on maps of 4x4, not 2x2


@dataclass(frozen=True)
class Split:
    """Images and labels that belong together.

    Args:
        images: uint8, (images, height, width, channels), values 0-255; an array, or StoredImages, which read as one.
        labels: int32, (images,), class numbers from 0; or uint8, (images, attributes), 1 where an image has one.
    """

    images: np.ndarray | StoredImages
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: np.ndarray | slice) -> Split:
        """The split of these positions, in this order; stored images stay where they are."""
        images = self.images
        chosen = images.subset(indices) if isinstance(images, StoredImages) else images[indices]
        return Split(chosen, self.labels[indices])


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
    """

    name: str
    parts: Mapping[str, tuple[Any, Any]]
    class_names: Sequence[str] | None = None
    mirror: bool = True
    channels: int | None = None
    source: dict[str, Any] = field(default_factory=dict)


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

    def parts(self) -> tuple[Split, Split, Split]:
        """Training, validation and test split."""
        return self.train, self.validation, self.test

    @property
    def multi_label(self) -> bool:
        """Whether an image has any number of attributes, rather than one class."""
        return self.train.labels.ndim == 2

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


def load(
    data: Any,
    *,
    image_size: int | tuple[int, int] | None = None,
    channels: int | None = None,
    classes: int | None = None,
    validation: float = 0.1,
    split_seed: int = 0,
    limit: int | None = None,
    splits: Sequence[str] = SPLITS,
    on_error: str = "raise",
    data_dir: str | Path | None = None,
    cache: bool | None = None,
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
        image_size: Height and width (or one number for both) to bring the images to: the shorter side is scaled, the
            middle is cut out. None keeps them (digits: 16x16). Arrays passed in are never resized: a difference is an
            error.
        channels: 3 shows grey images as RGB. None keeps what the source has (digits and folders: 3).
        classes: The model's classes, where known: a label beyond is an error. None: as many as the data have.
        validation: Share of the training part that is kept for validation where the source has no such part, 0-0.9.
        split_seed: Seed of the splits, apart from the training's seed: seeds are compared on the same images.
        limit: At most so many images of each split, each class in proportion: for trials.
        splits: What is wanted: with ("test",) a source that keeps its parts apart reads that one only.
        on_error: "raise" stops at a file that cannot be read, and at a class that a part or a source lacks; "skip"
            leaves these out, counts and logs them.
        data_dir: Where TFDS keeps its data; None is TFDS's own choice (TFDS_DATA_DIR, then the home folder).
        cache: True decodes all images now and keeps them in memory. False leaves those of a folder or of TFDS on disk
            and decodes each one whenever it is asked for, as ImageNet needs; an image that cannot be read then shows
            when it comes up (with "skip" all are decoded once beforehand). The images are the same. None keeps what
            takes at most a quarter of the machine's memory. Two sources (A:B) are always kept.

    Raises: DataError (a ValueError) for data that cannot be used as asked.
    """
    if on_error not in ("raise", "skip"):
        raise DataError(f"on_error must be 'raise' or 'skip'. Received: on_error={on_error!r}")
    if not 0 <= validation <= 0.9:
        raise DataError(f"validation is a share of the training images, 0 to 0.9. Received: validation={validation}")
    if limit is not None and limit < 1:
        raise DataError(f"limit is a number of images of at least 1. Received: limit={limit}")
    size = (image_size, image_size) if isinstance(image_size, int) else image_size
    size = DIGITS_SIZE if size is None and isinstance(data, str) and data == "digits" else size
    if isinstance(data, Dataset):
        return _checked(limited(data, limit), size, channels, classes, splits)
    at_most = None if limit is None else 20 * limit + 1000  # enough to find every class, without reading everything
    raw = _read(data, size, channels, splits, on_error, data_dir, at_most, cache)
    dataset = limited(_complete(raw, validation, split_seed, splits, classes), limit)
    wanted = channels if channels is not None else raw.channels
    if wanted == 3:
        dataset = _mapped(dataset, show_as_rgb)
    if size is not None and raw.name != ARRAYS:
        dataset = _mapped(dataset, lambda images: resize(images, size))
    return _checked(dataset, size, channels, classes, splits)


def from_arrays(data: Any) -> Raw:
    """Arrays as a source: a pair, a pair of pairs (train, test), or a mapping by split."""
    if not isinstance(data, Mapping):
        if len(data) != 2:
            raise DataError(
                f"Arrays come as (images, labels) or ((images, labels), (images, labels)): two. {_got(data)}"
            )
        pair_of_pairs = isinstance(data[0], (tuple, list)) and len(data[0]) == 2
        data = {"train": data[0], "test": data[1]} if pair_of_pairs else {"train": data}
    return Raw(ARRAYS, dict(data))


def digits() -> Raw:
    """Handwritten digits from scikit-learn's wheel: 1797 grey images of 8x8, pixels 0-16, classes 0-9."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = np.rint(bunch.images * (255 / 16)).astype("uint8")[..., None]
    return Raw(
        "digits",
        {"train": (images, bunch.target.astype("int32"))},
        class_names=[str(digit) for digit in range(10)],
        mirror=False,
        channels=3,
    )


def _read(
    data: Any,
    size: tuple[int, int] | None,
    channels: int | None,
    splits: Sequence[str],
    on_error: str,
    data_dir: str | Path | None,
    at_most: int | None,
    cache: bool | None,
) -> Raw:
    """Find the source behind what the user typed."""
    if isinstance(data, str) and len(named := source_names(data)) == 2:
        data = dict(zip(("train", "test"), named, strict=True))
    if isinstance(data, Mapping) and data and all(isinstance(source, (str, Path)) for source in data.values()):
        sources = {
            split: _read(source, size, channels, SPLITS, on_error, data_dir, at_most, cache=True)
            for split, source in data.items()
        }
        return _transfer(sources, on_error)
    if isinstance(data, (tuple, list, Mapping)):
        return from_arrays(data)
    if isinstance(data, str) and data == "digits":
        return digits()
    if isinstance(data, Path) or (isinstance(data, str) and Path(data).expanduser().is_dir()):
        from kattn.data.image_folder import folder

        return folder(Path(data).expanduser(), size, channels or 3, on_error, at_most, cache)
    if isinstance(data, str) and data:
        from kattn.data.tfds import tfds_dataset

        return tfds_dataset(data, size, channels, splits, on_error, data_dir, at_most, cache)
    raise DataError(f"data is 'digits', a TFDS name, a folder, arrays or a kattn.data.Dataset. {_got(data)}")


def source_names(data: str) -> list[str]:
    """The sources that a text names: one, or two with a colon between. A TFDS version ("mnist:3.0.1") is none."""
    return [data] if Path(data).expanduser().is_dir() else re.split(r":(?!\d+\.\d+\.\d+(?::|$))", data)


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
    parts = {}
    for split, raw in sources.items():
        pieces = list(raw.parts.values())
        if len({images.shape[1:] for images, _ in pieces}) > 1:
            raise DataError(f"{raw.name} holds images of several sizes: pass image_size.")
        images, labels = (np.concatenate(part) for part in zip(*pieces, strict=True))
        if raw.class_names and list(raw.class_names) != shared:  # the same number for the same class
            number = np.array([shared.index(one) if one in shared else -1 for one in raw.class_names])
            images, labels = images[number[labels] >= 0], number[labels][number[labels] >= 0]
        parts[split] = (images, labels)
    return Raw(":".join(names), parts, shared or None, all(raw.mirror for raw in sources.values()), first.channels)


def _complete(raw: Raw, validation: float, seed: int, splits: Sequence[str], classes: int | None) -> Dataset:
    """Check every part and take what is missing out of the training part."""
    unknown = sorted(set(raw.parts) - set(SPLITS))
    if unknown:
        raise DataError(f"Splits are called {', '.join(SPLITS)}. Received: {', '.join(map(repr, unknown))}")
    parts = {name: checked_split(*pair, f"{raw.name} ({name})", classes) for name, pair in raw.parts.items()}
    if "test" not in parts and "validation" in parts:
        log.info("%s has no labelled test part: its validation part is the test, validation comes from train", raw.name)
        parts["test"] = parts.pop("validation")
    if "test" not in parts and "train" in parts:
        parts["train"], parts["test"] = carve(parts["train"], TEST_FRACTION, np.random.default_rng([seed, 1]))
    if "validation" not in parts and "train" in parts and validation:
        parts["train"], parts["validation"] = carve(parts["train"], validation, np.random.default_rng([seed, 2]))
    sample = next(iter(parts.values()))
    nothing = Split(sample.images[:0], sample.labels[:0])
    kept = {name: parts.get(name, nothing) if name in splits else nothing for name in SPLITS}
    many = sample.labels.ndim == 2
    highest = (
        sample.labels.shape[1] - 1 if many else max(int(part.labels.max()) for part in parts.values() if len(part))
    )
    names = tuple(raw.class_names) if raw.class_names else tuple(str(i) for i in range(highest + 1))
    return Dataset(raw.name, names, **kept, mirror=raw.mirror, source=raw.source)


def _checked(dataset: Dataset, size: Any, channels: int | None, classes: int | None, splits: Sequence[str]) -> Dataset:
    """Compare with what the model takes."""
    for name in splits:
        part = getattr(dataset, name)
        if not len(part) and name != "validation":
            raise DataError(f"The {name} split of {dataset.name} is empty: there is nothing to work on.")
        limit = len(dataset.class_names) if classes is None else classes
        check_labels(part.labels, limit, f"{dataset.name} ({name})")
    shapes = {part.images.shape[1:] for part in dataset.parts() if len(part)}
    if len(shapes) > 1:
        raise DataError(f"The splits of {dataset.name} hold images of different shapes: {sorted(shapes)}.")
    height, width, depth = dataset.image_shape
    if size is not None and (height, width) != tuple(size):
        raise DataError(
            f"{dataset.name} has images of {height}x{width}, the model takes {size[0]}x{size[1]}. Resize the arrays, "
            "or build the model with their input_shape."
        )
    if channels is not None and depth != channels:
        raise DataError(f"{dataset.name} has images of {depth} channels, the model takes {channels}.")
    if classes is not None and classes > len(dataset.class_names):
        extra = tuple(str(i) for i in range(len(dataset.class_names), classes))
        dataset = replace(dataset, class_names=dataset.class_names + extra)
    return dataset


def checked_split(images: Any, labels: Any, where: str, classes: int | None = None) -> Split:
    """Images and labels as the interface wants them, or an error that says what is wrong with them."""
    images, labels = images if isinstance(images, StoredImages) else np.asarray(images), np.asarray(labels)
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or images.shape[-1] not in (1, 3, 4):
        raise DataError(
            f"{where}: images are (images, height, width, channels) with 1, 3 or 4 channels. "
            f"Received: shape {images.shape}"
        )
    if images.dtype != np.uint8:
        images = _as_uint8(images, where)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    many = labels.ndim == 2 and (labels.dtype == bool or np.isin(labels, (0, 1)).all())
    if many and (labels.sum(axis=1) == 1).all():
        raise DataError(
            f"{where}: each row of labels has one 1: these are one-hot rows. Pass class numbers, labels.argmax(axis=1)."
        )
    if not many and (labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer)):
        raise DataError(
            f"{where}: labels are class numbers, one integer an image, or rows of 0 and 1, one number an attribute. "
            f"Received: shape {labels.shape}, {labels.dtype}"
        )
    if len(images) != len(labels):
        raise DataError(f"{where}: {len(images)} images but {len(labels)} labels.")
    if not len(images):
        raise DataError(f"{where} is empty: there is nothing to work on.")
    check_labels(labels, classes, where)
    return Split(images, labels.astype("uint8" if many else "int32"))


def check_labels(labels: np.ndarray, classes: int | None, where: str) -> None:
    """Raise where a label is negative or not below the number of classes, or rows are not as long as that."""
    if labels.ndim == 2:
        if classes is not None and labels.shape[1] != classes:
            raise DataError(f"{where}: {labels.shape[1]} attributes an image, the model has {classes} outputs.")
        return
    wrong = np.flatnonzero((labels < 0) | (labels >= classes) if classes is not None else labels < 0)
    if len(wrong):
        expected = f"0 to {classes - 1}" if classes is not None else "0 and above"
        raise DataError(
            f"{where}: label {labels[wrong[0]]} of image {wrong[0]} is out of range, labels are {expected} "
            f"({len(wrong)} of {len(labels)} images)."
        )


def carve(split: Split, fraction: float, rng: np.random.Generator) -> tuple[Split, Split]:
    """Two disjoint splits: the rest, and `fraction` of every class (rounded; of a class of one image nothing)."""
    apart = np.zeros(len(split), bool)
    if split.labels.ndim == 2:
        apart[rng.permutation(len(split))[: round(fraction * len(split))]] = True
    for label in np.unique(split.labels) if split.labels.ndim == 1 else ():
        members = rng.permutation(np.flatnonzero(split.labels == label))
        count = min(len(members) - 1, max(1, round(fraction * len(members))))
        apart[members[:count]] = True
    return split.take(np.flatnonzero(~apart)), split.take(np.flatnonzero(apart))


def show_as_rgb(images: np.ndarray) -> np.ndarray:
    """Grey images as three equal channels; RGB unchanged; the opacity of RGBA dropped."""
    return np.repeat(images, 3, axis=-1) if images.shape[-1] == 1 else images[..., :3]


def resize(images: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Scale the shorter side, cut out the middle (bicubic, on uint8)."""
    from PIL import Image

    if images.shape[1:3] == tuple(size):
        return images
    resized = np.empty((len(images), *size, images.shape[-1]), "uint8")
    for i, image in enumerate(images):
        picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
        resized[i] = np.asarray(fit_picture(picture, size)).reshape(resized.shape[1:])
    return resized


def fit_picture(picture: Any, size: tuple[int, int]) -> Any:
    """A Pillow picture scaled and cut to (height, width), undistorted."""
    from PIL import Image, ImageOps

    return picture if picture.size == size[::-1] else ImageOps.fit(picture, size[::-1], Image.Resampling.BICUBIC)


def check_size(image: np.ndarray, first: np.ndarray, where: str) -> None:
    """Raise where an image has another height or width than the first: at once, not when all have been read."""
    if image.shape[:2] != first.shape[:2]:
        sizes = " and ".join(f"{height}x{width}" for height, width in (first.shape[:2], image.shape[:2]))
        raise DataError(f"{where} holds images of several sizes, such as {sizes}: pass image_size.")


def eight_bits(picture: Any) -> Any:
    """A Pillow picture as it is. Raises ValueError for more than 8 bits a channel: Pillow would cut off at 255."""
    if picture.mode.startswith(("I", "F")):
        raise ValueError(f"its mode {picture.mode} has more than 8 bits a channel; convert it to 8 bits, 0-255.")
    return picture


def fingerprint(split: Split) -> str:
    """A short hash of all labels and of up to 64 images spread over the split."""
    digest = hashlib.sha256(np.ascontiguousarray(split.labels).tobytes())
    spread = np.linspace(0, len(split) - 1, min(64, len(split))).astype(int)
    digest.update(np.ascontiguousarray(split.images[spread]).tobytes())
    return digest.hexdigest()[:16]


def _as_uint8(images: np.ndarray, where: str) -> np.ndarray:
    if np.issubdtype(images.dtype, np.integer) and len(images) and images.min() >= 0 and images.max() <= 255:
        return images.astype("uint8")
    span = f"{images.min():.4g} to {images.max():.4g}" if images.size else "nothing"
    raise DataError(
        f"{where}: the networks take raw pixels, uint8 0-255, and normalise them inside. Received: {images.dtype}, "
        f"{span}. Images in 0-1: (images * 255).round().astype('uint8')."
    )


def limited(dataset: Dataset, limit: int | None) -> Dataset:
    """At most `limit` images a split: the first of every class, then the second of every class, and so on."""
    if limit is None:
        return dataset

    def cut(split: Split) -> Split:
        rank = np.zeros(len(split), int)
        for label in np.unique(split.labels) if split.labels.ndim == 1 else ():
            members = np.flatnonzero(split.labels == label)
            rank[members] = np.arange(len(members))
        return split.take(np.sort(np.argsort(rank, kind="stable")[:limit]))

    return replace(dataset, train=cut(dataset.train), validation=cut(dataset.validation), test=cut(dataset.test))


def _mapped(dataset: Dataset, change: Callable[[np.ndarray], np.ndarray]) -> Dataset:
    """Every array of images changed; stored ones are read as they are wanted."""
    train, validation, test = (
        part if isinstance(part.images, StoredImages) else Split(change(part.images), part.labels)
        for part in dataset.parts()
    )
    return replace(dataset, train=train, validation=validation, test=test)


def _got(data: Any) -> str:
    return f"Received: {data!r:.200}" if isinstance(data, (str, int, float, type(None))) else f"Received: {type(data)}"
