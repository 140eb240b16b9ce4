"""Where the evidence for a class lies: what the methods of class activation share, and their table."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from kattn.explain.class_maps.scores import logits, wanted_classes
from kattn.explain.model_images import checked_images
from kattn.graph.calls import Call, Graph, is_map
from kattn.graph.gradients import gradient_of

Weigh = Callable[[Any, Any], Any]


def by_gradient(
    weigh: Weigh,
    model: keras.Model,
    images: Any,
    *,
    classes: Sequence[int] | int | None,
    layer: str | None,
    output: str | int | None,
    batch_size: int,
) -> np.ndarray:
    """The maps of a method that weighs a layer's maps by the gradient of the class's logit.

    Args:
        weigh: (maps A, gradient of the logit by A), both (batch, height, width, channels), to (batch, height, width).

    The other arguments, what comes back and what is raised are those of `grad_cam`.
    """
    images = checked_images(model, images)
    graph = Graph(model, output=output, image_shape=images.shape[1:])
    score, _ = logits(graph)
    source = source_call(graph, layer)
    front, back = halves(graph, source, score)
    wanted = wanted_classes(classes, len(images), score.shape[-1])

    def heat(batch: Any, start: int) -> Any:
        batch = ops.convert_to_tensor(batch)
        features = front(batch, training=False)
        chosen = None if wanted is None else wanted[start : start + len(batch)]
        gradient = gradient_of(functools.partial(_score_of, back, chosen, batch), features)
        return ops.relu(weigh(ops.cast(features, "float32"), ops.cast(gradient, "float32")))

    return scaled(np.concatenate([full_size(heat(*part), images.shape) for part in parts(images, batch_size)]))


def halves(graph: Graph, source: Call, score: Any) -> tuple[Any, Callable[[Any, Any], Any]]:
    """The model up to a layer's maps, and from them (and the image, where ways lead around the layer) to the score."""
    front = graph.model(source.outputs)
    try:
        alone = keras.Model(source.outputs, score)
    except ValueError:  # ways around it: the image is needed too, and the gradient is that through the layer alone
        both = keras.Model([source.outputs, graph.image], score)
        return front, lambda features, image: both([features, image], training=False)
    return front, lambda features, _: alone(features, training=False)


def source_call(graph: Graph, name: str | None) -> Call:
    """The call whose maps are looked at: the named one, else the last with more than one position.

    Raises: ValueError for a name that the model does not have or that gives no feature map; for a model without one.
    """
    maps = graph.maps()
    if name is not None:
        call = graph.find(name)
        if call not in maps:
            why = "has no part in the output" if is_map(call.outputs) else "gives no feature map"
            raise ValueError(f"layer {name!r} {why}; feature maps: {_last_names(maps)}.")
        return call
    if not maps:
        raise ValueError(
            f"model {graph.name!r} has no layer that gives a feature map: it has no convolution to explain."
        )
    return next((call for call in reversed(maps) if call.outputs.shape[1:3] != (1, 1)), maps[-1])


def parts(images: np.ndarray, batch_size: int) -> list[tuple[np.ndarray, int]]:
    """The images in batches, each with the number of its first image."""
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1. Received: batch_size={batch_size}")
    return [(images[start : start + batch_size], start) for start in range(0, len(images), batch_size)]


def full_size(heat: Any, shape: Sequence[int]) -> np.ndarray:
    """Maps (batch, height, width) at the size of images of this shape, bilinearly, as numpy."""
    heat = ops.image.resize(
        ops.expand_dims(heat, -1), shape[1:3], interpolation="bilinear", data_format="channels_last"
    )
    return np.asarray(ops.convert_to_numpy(heat))[..., 0]


def scaled(maps: np.ndarray) -> np.ndarray:
    """Maps of no negative value in 0-1: the highest value of each is 1."""
    top = maps.max(axis=(1, 2), keepdims=True)
    return np.where(top > 0, maps / np.where(top > 0, top, 1), 0).astype("float32")


def _score_of(back: Callable[[Any, Any], Any], classes: Any, image: Any, features: Any) -> Any:
    """The sum over the batch of each image's score of its class, or of its highest score."""
    scores = ops.cast(back(features, image), "float32")
    if classes is None:
        return ops.sum(ops.max(scores, axis=-1))
    return ops.sum(scores * ops.one_hot(ops.cast(classes, "int32"), scores.shape[-1]))


def _last_names(calls: Sequence[Call]) -> str:
    return ", ".join(call.name for call in calls[-5:]) or "none"
