"""How faithful maps are: deletion and insertion of pixels in a map's order, and whether maps hit objects."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from kattn.explain.class_maps.scores import wanted_classes
from kattn.explain.images import checked_images
from kattn.facts.description import BINARY
from kattn.facts.of_model import describe_model
from kattn.graph.compiled import compiled
from kattn.graph.opened import Graph


@dataclass(frozen=True)
class Curves:
    """A class's score while pixels are deleted or inserted, the highest of the map first.

    Attributes:
        shares: Shares of the pixels that are changed, (steps + 1,), from 0 to 1.
        deletion, insertion: The class's score at each, (images, steps + 1).
        deletion_area, insertion_area: Area under each curve, (images,). A good map has a low deletion area and a high
            insertion area.
    """

    shares: np.ndarray
    deletion: np.ndarray
    insertion: np.ndarray

    @property
    def deletion_area(self) -> np.ndarray:
        """Area under the deletion curves."""
        return np.trapezoid(self.deletion, self.shares, axis=1)

    @property
    def insertion_area(self) -> np.ndarray:
        """Area under the insertion curves."""
        return np.trapezoid(self.insertion, self.shares, axis=1)


def deletion_insertion(
    model: keras.Model,
    images: Any,
    maps: Any,
    *,
    classes: Sequence[int] | int | None = None,
    steps: int = 20,
    baseline: str | float | Sequence[float] = "blur",
    output: str | int | None = None,
    batch_size: int = 64,
    deletion_baseline: str | float | Sequence[float] | None = None,
    insertion_baseline: str | float | Sequence[float] | None = None,
    **stated: Any,
) -> Curves:
    """Deletion and insertion curves of maps.

    Deletion starts from the image and replaces its pixels by the baseline's; insertion starts from the baseline. The
    pixels with the highest values of the map come first, equal ones in reading order.

    The authors' code (eclique/RISE) deletes to zeros behind its normalisation, which is the mean colour, and inserts
    into a less blurred image, 224 pixels a step. Its numbers at 224x224 come from steps=224,
    insertion_baseline="rise" and, for a network of raw pixels, deletion_baseline=(123.675, 116.28, 103.53). The
    defaults differ: both curves share a blur that leaves nothing to be recognised, without edges of its own.

    Args:
        model: A functional or Sequential classifier of one input.
        images: (images, height, width, channels), as the model takes them.
        maps: (images, height, width), such as `grad_cam` gives.
        classes: The class whose score is followed, for all images or for each. None: the predicted one.
        steps: Number of equal parts in which the pixels change.
        baseline: "blur": the image blurred by a box of a quarter of its side, three times over; "rise": by the authors'
            Gaussian of 11x11 pixels with a deviation of 5; or a number, the value of all pixels, or one a channel.
        output: Name or index of the output. None: "predictions", else the first.
        batch_size: Images at a time.
        deletion_baseline, insertion_baseline: What deletion ends and what insertion starts with; None: `baseline`.
        stated: What is known of the model's input: value_range, preprocess; see `kattn.facts.stated.Stated`.

    Returns: The curves of each image, and their areas.
    Raises: ValueError for maps of another size or number than the images, steps below 1, an unknown baseline, a class
        out of range, images that do not fit.
    Paper: Petsiuk, Das, Saenko. RISE. BMVC 2018. arXiv:1806.07421
    """
    images = checked_images(model, images, stated)
    maps = np.asarray(maps)
    if maps.shape != images.shape[:3] or not np.isfinite(maps).all():
        raise ValueError(
            f"maps must be finite, one of the image's size for each: {images.shape[:3]}. Received: shape {maps.shape}"
        )
    if steps < 1:
        raise ValueError(f"steps must be at least 1. Received: steps={steps}")
    graph = Graph(model, output=output, image_shape=images.shape[1:])
    network: Callable[[np.ndarray], Any] = compiled(graph.model(graph.output))
    if describe_model(model).outputs[graph.output_name].kind.value == BINARY:
        network = functools.partial(_both_sides, network)
    start = _scores(network, images, batch_size)
    wanted = wanted_classes(classes, len(images), start.shape[-1])
    wanted = start.argmax(axis=-1) if wanted is None else wanted
    emptied = baseline_images(images, baseline if deletion_baseline is None else deletion_baseline)
    hidden = baseline_images(images, baseline if insertion_baseline is None else insertion_baseline)
    order = np.argsort(-maps.reshape(len(maps), -1), axis=1, kind="stable")
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.broadcast_to(np.arange(order.shape[1]), order.shape), axis=1)
    rank = rank.reshape(*maps.shape, 1)
    shares = np.linspace(0, 1, steps + 1)
    curves = []
    for before, after in ((images, emptied), (hidden, images)):
        rows = [
            _scores(network, np.where(rank < round(share * order.shape[1]), after, before), batch_size)
            for share in shares
        ]
        curves.append(np.stack([row[np.arange(len(images)), wanted] for row in rows], axis=1))
    return Curves(shares, *curves)


def pointing_game(maps: Any, boxes: Any, *, tolerance: float = 0) -> float:
    """The share of maps whose highest point lies in the object.

    Args:
        maps: (images, height, width).
        boxes: For each image one or more boxes (top, left, bottom, right) in pixels, bottom and right not included; or
            boolean masks (images, height, width).
        tolerance: Pixels by which a box is widened on all sides (the paper allows 15 on photographs).

    Returns: 0 to 1. A map without a highest point (constant) is a miss.
    Raises: ValueError for another number of boxes than maps, or no map.
    Paper: Zhang et al. Top-down Neural Attention by Excitation Backprop. ECCV 2016. arXiv:1608.00507
    """
    maps = np.asarray(maps)
    if maps.ndim != 3 or not len(maps) or len(boxes) != len(maps):
        raise ValueError(
            "maps must be (images, height, width), with the boxes of each image. "
            f"Received: maps of shape {maps.shape}, boxes of {len(boxes)} images"
        )
    hits = 0
    for heat, where in zip(maps, boxes, strict=True):
        row, column = np.unravel_index(int(heat.argmax()), heat.shape)
        there = heat.max() > heat.min()
        hits += bool(there and _inside(np.asarray(where), int(row), int(column), heat.shape, tolerance))
    return hits / len(maps)


def _inside(where: np.ndarray, row: int, column: int, shape: tuple[int, ...], tolerance: float) -> bool:
    if where.dtype == bool and where.shape == shape:
        rows, columns = np.nonzero(where)
        near = np.maximum(np.abs(rows - row), np.abs(columns - column))
        return bool(len(near)) and float(near.min()) <= tolerance
    boxes = where.reshape(-1, 4)
    return any(
        top - tolerance <= row < bottom + tolerance and left - tolerance <= column < right + tolerance
        for top, left, bottom, right in boxes
    )


def baseline_images(images: np.ndarray, baseline: str | float | Sequence[float]) -> np.ndarray:
    """Images in which nothing can be seen; see `deletion_insertion`."""
    if not isinstance(baseline, str | bool):
        colour = np.asarray(baseline)
        if colour.dtype.kind in "iuf" and colour.shape in ((), images.shape[-1:]):
            return np.broadcast_to(colour.astype(images.dtype), images.shape)
    if baseline == "rise":
        return _weighted(_weighted(images, 1), 2)
    if baseline != "blur":
        raise ValueError(f'baseline must be "blur", "rise", a number or one a channel. Received: baseline={baseline!r}')
    for _ in range(3):
        for axis in (1, 2):
            images = _box_mean(images, axis, max(1, images.shape[axis] // 8))
    return images


def _weighted(images: np.ndarray, axis: int) -> np.ndarray:
    """Along an axis the authors' kernel: SciPy's Gaussian of a point in 11 pixels, which reflects it at their ends."""
    size, reach = 11, 5
    offsets = np.arange(-20, 21)
    places = (np.arange(size)[:, None] + offsets) % (2 * size)
    gaussian = np.exp(-((offsets / 5) ** 2) / 2)
    kernel = (gaussian * (np.minimum(places, 2 * size - 1 - places) == reach)).sum(axis=1) / gaussian.sum()
    padding = [(reach, reach) if i == axis else (0, 0) for i in range(images.ndim)]
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(images, padding), size, axis=axis)
    return (windows @ kernel).astype("float32")


def _box_mean(images: np.ndarray, axis: int, reach: int) -> np.ndarray:
    """Mean over 2 reach + 1 pixels along an axis, of those that lie inside the image."""
    length = images.shape[axis]
    sums = np.concatenate([np.zeros_like(images.take([0], axis)), images.cumsum(axis, dtype="float64")], axis=axis)
    low, high = np.maximum(np.arange(length) - reach, 0), np.minimum(np.arange(length) + reach + 1, length)
    shape = [1, 1, 1, 1]
    shape[axis] = length
    return ((sums.take(high, axis) - sums.take(low, axis)) / (high - low).reshape(shape)).astype("float32")


def _both_sides(run: Callable[[np.ndarray], Any], images: np.ndarray) -> np.ndarray:
    """Probabilities of two classes from one unit's."""
    yes = np.asarray(run(images)).reshape(len(images), 1)
    return np.concatenate([1 - yes, yes], axis=-1)


def _scores(run: Callable[[np.ndarray], Any], images: np.ndarray, batch_size: int) -> np.ndarray:
    answers = [run(images[i : i + batch_size]) for i in range(0, len(images), batch_size)]
    return np.concatenate(answers).astype("float32")
