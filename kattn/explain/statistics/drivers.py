"""The most active channels of a layer, and the images that activate them most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from kattn.explain.statistics.stream import outputs_over, stream
from kattn.facts.pixels import as_pixels
from kattn.graph.opened import Graph


@dataclass(frozen=True)
class Drivers:
    """The most active channels of a layer, and the images that activate each most.

    Attributes:
        layer: The layer's name.
        channels: Numbers of the channels, the most active first, (k,).
        activity: Their mean activity over the dataset, (k,).
        indices: Numbers of the images in the data, the most activating first, (k, images).
        strengths: The channel's activity for each image, (k, images).
        labels: Their classes, (k, images).
        images: Their pixels, (k, images, height, width, channels).
        maps: The channel's activity at the image's positions, (k, images, map height, map width).
    """

    layer: str
    channels: np.ndarray
    activity: np.ndarray
    indices: np.ndarray
    strengths: np.ndarray
    labels: np.ndarray
    images: np.ndarray
    maps: np.ndarray


def top_channels(
    model: keras.Model,
    data: Any,
    *,
    layer: str | None = None,
    channels: int = 5,
    images: int = 6,
    split: str = "test",
    batch_size: int = 128,
    limit: int | None = None,
    **stated: Any,
) -> Drivers:
    """The channels of a layer with the highest mean activity, and the images for which each is highest.

    The data are read twice: first for the numbers of these images, then for the images themselves.

    Args:
        model: A functional or Sequential model of one input.
        data, split, batch_size, limit, stated: See `stream`; no generator, which can be read once only.
        layer: Name of a layer that gives feature maps. None: the last one.
        channels: How many channels.
        images: How many images of each.

    Returns: The channels, the most active first, with their images.
    Raises: ValueError for an unknown layer (with the closest), counts below 1, data that can be read once only, and
        images that do not fit.
    """
    if min(channels, images) < 1:
        raise ValueError(f"channels and images must be at least 1. Received: channels={channels}, images={images}")
    batches = stream(data, model, split=split, batch_size=batch_size, limit=limit, **stated)
    if iter(batches) is iter(batches):
        raise ValueError("the data are read twice: give arrays, a dataset or a list of batches instead of a generator.")
    graph = Graph(model, image_shape=batches.image_shape)
    maps = graph.maps()
    if not maps:
        raise ValueError(f"model {graph.name!r} has no layer that gives a feature map.")
    call = maps[-1] if layer is None else graph.find(layer, maps, "feature map")
    network = graph.model(ops.mean(ops.relu(ops.cast(call.outputs, "float32")), axis=(1, 2)))
    total, seen = np.zeros(0), 0
    best = np.zeros((0, 0))
    places = np.zeros((0, 0), int)
    for activity, _, labels in outputs_over(network, batches):
        if not seen:
            total = np.zeros(activity.shape[1])
            best, places = np.zeros((0, activity.shape[1])), np.zeros((0, activity.shape[1]), int)
        total += activity.sum(axis=0, dtype="float64")
        numbers = np.broadcast_to(np.arange(seen, seen + len(labels))[:, None], activity.shape)
        best, places = np.concatenate([best, activity]), np.concatenate([places, numbers])
        order = np.argsort(-best, axis=0, kind="stable")[:images]
        best, places = np.take_along_axis(best, order, 0), np.take_along_axis(places, order, 0)
        seen += len(labels)
    chosen = np.argsort(-total, kind="stable")[:channels]
    wanted = places.T[chosen]
    found, of_class = _collect(batches, set(wanted.ravel().tolist()))
    pictures = np.stack([np.stack([found[i] for i in row]) for row in wanted])
    flat = pictures.reshape(-1, *pictures.shape[2:])
    activity_maps = np.asarray(ops.convert_to_numpy(graph.model(call.outputs)(flat.astype("float32"), training=False)))
    numbers = np.repeat(chosen, wanted.shape[1])
    shown = activity_maps[np.arange(len(flat)), :, :, numbers]
    return Drivers(
        layer=call.name,
        channels=chosen,
        activity=total[chosen] / seen,
        indices=wanted,
        strengths=best.T[chosen],
        labels=np.array([[of_class[i] for i in row] for row in wanted]),
        images=as_pixels(pictures, batches.given),
        maps=shown.reshape(*wanted.shape, *shown.shape[1:]).astype("float32"),
    )


def _collect(batches: Any, wanted: set[int]) -> tuple[dict[int, np.ndarray], dict[int, int]]:
    """The images of these numbers, and their classes."""
    images, labels, start = {}, {}, 0
    for batch, classes in batches:
        for i in range(len(classes)):
            if start + i in wanted:
                images[start + i], labels[start + i] = batch[i], int(classes[i])
        start += len(classes)
    return images, labels
