"""Labelled images in batches, from any source, and one pass of a network over them."""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kattn.data.arrays import ARRAYS
from kattn.data.dataset import Dataset, Split
from kattn.data.loading import load
from kattn.explain.images import check_batch, check_shape
from kattn.facts.description import Input
from kattn.facts.of_model import image_of
from kattn.facts.pixels import check_values, converted, require_range
from kattn.facts.stated import Stated
from kattn.graph.compiled import compiled
from kattn.graph.inputs import require_graph
from kattn.graph.outputs import MAIN_OUTPUT


@dataclass(frozen=True)
class Stream:
    """Batches of (images, labels), and the names of the classes.

    Attributes:
        batches: Gives the batches each time it is iterated; where it is an iterator, once only.
        image_shape: (height, width, channels).
        given: What is known of the model's input.
        model: The model's name.
        class_names: Where they are known.
    """

    batches: Iterable[tuple[np.ndarray, np.ndarray]]
    image_shape: tuple[int, ...]
    given: Input
    model: str
    class_names: tuple[str, ...] | None = None

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        return self._as_input() if iter(self.batches) is not self.batches else self._once

    @functools.cached_property
    def _once(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Of batches that can be read once only, the one iterator."""
        return self._as_input()

    def _as_input(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for number, (images, labels) in enumerate(self.batches):
            if not number:
                check_values(images, self.given, self.model)
            yield converted(images, self.given, self.model), labels


class _Slices:
    """A split's images in batches."""

    def __init__(self, split: Split, batch_size: int) -> None:
        self.split = split
        self.batch_size = batch_size

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for start in range(0, len(self.split), self.batch_size):
            end = start + self.batch_size
            yield self.split.images[start:end], self.split.labels[start:end]


class _Given:
    """Batches of the caller's: a PyDataset, a tf.data.Dataset, a generator."""

    def __init__(self, source: Any) -> None:
        self.source = source

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        endless = isinstance(self.source, keras.utils.PyDataset)  # iterates without end
        for item in (self.source[i] for i in range(len(self.source))) if endless else self.source:
            if not isinstance(item, (tuple, list)) or len(item) < 2:
                raise ValueError(f"data must give batches (images, labels). Received: {type(item).__name__}")
            yield np.asarray(item[0]), _class_numbers(item[1])

    def as_stream(self, given: Input, model: str) -> Stream:
        """The batches as a stream. The first batch is read for its shape, and put back in front of an iterator."""
        batches = iter(self)
        first = next(batches, None)
        if first is None:
            raise ValueError("data holds no images.")
        once = isinstance(self.source, Iterator)
        return Stream(itertools.chain([first], batches) if once else self, first[0].shape[1:], given, model)


def stream(
    data: Any,
    model: keras.Model,
    *,
    split: str = "test",
    batch_size: int = 128,
    limit: int | None = None,
    **stated: Any,
) -> Stream:
    """Labelled images for a model.

    Args:
        data: Anything `kattn.data.load` takes ("digits", a TFDS name, a folder of class folders, arrays (images,
            labels), a Dataset), a Split, or batches (images, labels): a keras PyDataset, a tf.data.Dataset, any
            iterable. Batches are read one after another, so their number is not limited.
        model: The images are brought to its size.
        split: "test", "validation" or "train", of data that have splits. Arrays are taken whole.
        batch_size: Images at a time, of data that are not batches already.
        limit: Most images, of data that are not batches already.
        stated: What is known of the model's input: value_range, preprocess, resize, interpolation; see
            `kattn.facts.stated.Stated`. Arrays are taken as they are; bytes and files are brought to the range.

    Returns: The batches, with the shape of the images and the names of the classes.
    Raises: DataError for data that cannot be used, ValueError for a split that does not exist, and for files where the
        range that the model takes is not known.
    """
    if split not in ("train", "validation", "test"):
        raise ValueError(f"split must be 'train', 'validation' or 'test'. Received: split={split!r}")
    require_graph(model)
    found = _source(data, model, image_of(model, Stated.of(stated)), split, batch_size, limit)
    check_shape(model, found.image_shape)
    return found


def outputs_over(network: keras.Model, batches: Stream) -> Iterator[tuple[Any, np.ndarray, np.ndarray]]:
    """A network's outputs for each batch, as numpy, with the batch's images and labels.

    A batch that is smaller than the first is filled up to its size, so that nothing is compiled twice.

    Raises: ValueError for data without images, and for images that the network does not take.
    """
    size, run = 0, compiled(network)
    for images, labels in batches:
        if not size:
            check_batch(network, images)
            size = len(images)
        if len(images) != len(labels):
            raise ValueError(f"a batch has {len(images)} images and {len(labels)} labels.")
        missing = max(size - len(images), 0)
        fill = np.zeros((missing, *images.shape[1:]), images.dtype)
        answers = run(np.concatenate([images, fill]) if missing else images)
        yield keras.tree.map_structure(operator.itemgetter(slice(len(images))), answers), images, labels
    if not size:
        raise ValueError("data holds no images.")


def _source(data: Any, model: keras.Model, given: Input, split: str, batch_size: int, limit: int | None) -> Stream:
    sliced = functools.partial(_sliced, batch_size, given, model.name)
    if isinstance(data, Split):
        return sliced(_first(data, limit))
    if _is_pair(data):
        dataset = load({split: data}, splits=(split,), any_values=True)
        return sliced(_first(getattr(dataset, split), limit), dataset.class_names)
    if isinstance(data, (str, Path, Mapping, Dataset)):
        height, width, channels = model.inputs[0].shape[1:]
        size = (height, width) if height and width and not isinstance(data, Dataset) else None
        ways = {"resize": given.resize.value, "interpolation": given.interpolation.value}
        dataset = load(data, image_size=size, channels=channels, splits=(split,), limit=limit, any_values=True, **ways)
        if dataset.name != ARRAYS:
            require_range(given, model.name)
        return sliced(getattr(dataset, split), dataset.class_names)
    if not isinstance(data, Iterable) and not isinstance(data, keras.utils.PyDataset):
        raise ValueError(
            "data must be a name, a folder, arrays (images, labels), or batches of (images, labels). "
            f"Received: {type(data).__name__}"
        )
    return _Given(data).as_stream(given, model.name)


def _sliced(
    batch_size: int, given: Input, model: str, split: Split, class_names: tuple[str, ...] | None = None
) -> Stream:
    return Stream(_Slices(split, batch_size), split.images.shape[1:], given, model, class_names)


def _is_pair(data: Any) -> bool:
    return isinstance(data, (tuple, list)) and len(data) == 2 and all(hasattr(part, "shape") for part in data)


def _first(split: Split, limit: int | None) -> Split:
    return split if limit is None else split.take(slice(limit))


def _class_numbers(labels: Any) -> np.ndarray:
    """Class numbers of labels that may be one-hot, or one for each of several outputs."""
    if isinstance(labels, Mapping):
        labels = labels.get(MAIN_OUTPUT, next(iter(labels.values())))
    labels = np.asarray(labels)
    return labels.argmax(axis=-1) if labels.ndim == 2 and labels.shape[1] > 1 else labels.reshape(-1)
