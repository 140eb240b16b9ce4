"""Grad-CAM and Grad-CAM++: the maps of a layer, weighted by the gradient of a class's logit."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from kattn.explain.class_maps.scores import logits, maps_over, wanted_classes
from kattn.explain.images import checked_images
from kattn.graph.calls import Call, is_map
from kattn.graph.gradients import gradient_of
from kattn.graph.opened import Graph


def grad_cam(
    model: keras.Model,
    images: Any,
    *,
    classes: Sequence[int] | int | None = None,
    layer: str | None = None,
    output: str | int | None = None,
    batch_size: int = 32,
    **stated: Any,
) -> np.ndarray:
    """Grad-CAM of each image, at the image's size.

    w_c = mean over positions of d score / d A_c;   map = relu(sum of w_c A_c), scaled to a maximum of 1

    The score is the class's logit: the input of the softmax or sigmoid at the model's end, a layer of its own or not.

    Args:
        model: A functional or Sequential model of one input; models nested in it are opened.
        images: (images, height, width, channels), as the model takes them.
        classes: The class to explain, for all images or for each. None: the predicted one.
        layer: Name of the layer whose maps A are weighted ("inner_model/layer" in a nested model). None: the last one
            on the way to the score that gives a feature map of more than one position. Where other ways lead around
            the layer, the gradient is that through the layer alone.
        output: Name or index of the output to explain. None: "predictions", else the first.
        batch_size: Images at a time.
        stated: What is known of the model's input: value_range, preprocess; see `kattn.facts.stated.Stated`.

    Returns: float32 (images, height, width) in 0-1; all zero where nothing speaks for the class.
    Raises: ValueError for a layer that is none of the model's (with the closest names), or is no feature map on the
        way to the score; for a model without feature maps; for classes out of range; for images that do not fit.
    Paper: Selvaraju et al. Grad-CAM. ICCV 2017. arXiv:1610.02391
    """
    return _by_gradient(_grad_cam_map, model, images, classes, layer, output, batch_size, stated)


def grad_cam_plus_plus(
    model: keras.Model,
    images: Any,
    *,
    classes: Sequence[int] | int | None = None,
    layer: str | None = None,
    output: str | int | None = None,
    batch_size: int = 32,
    **stated: Any,
) -> np.ndarray:
    """Grad-CAM++ of each image, at the image's size: closer than Grad-CAM where a class is there several times.

    g = d score / d A;   a = g^2 / (2 g^2 + g^3 sum over positions of A)
    w_c = sum over positions of a relu(g);   map = relu(sum of w_c A_c), scaled to a maximum of 1

    The score is the logit S. The paper derives a for exp(S), whose further factor exp(S) is the same for all
    positions and channels and leaves with the scaling.

    Arguments, result and errors: as `grad_cam`.
    Paper: Chattopadhyay et al. Grad-CAM++. WACV 2018. arXiv:1710.11063
    Code: adityac94/Grad_CAM_plus_plus
    """
    return _by_gradient(_grad_cam_plus_plus_map, model, images, classes, layer, output, batch_size, stated)


def _grad_cam_map(features: Any, gradient: Any) -> Any:
    """Sum of the maps, each weighted by its mean gradient."""
    return ops.sum(ops.mean(gradient, axis=(1, 2), keepdims=True) * features, axis=-1)


def _grad_cam_plus_plus_map(features: Any, gradient: Any) -> Any:
    """Sum of the maps, each weighted by its positive gradients, which count the more the fewer they are."""
    square = ops.square(gradient)
    divisor = 2 * square + square * gradient * ops.sum(features, axis=(1, 2), keepdims=True)
    share = ops.where(divisor == 0, ops.zeros_like(square), square / ops.where(divisor == 0, 1.0, divisor))
    weights = ops.sum(share * ops.relu(gradient), axis=(1, 2), keepdims=True)
    return ops.sum(weights * features, axis=-1)


def _by_gradient(
    weighted: Callable[[Any, Any], Any],
    model: keras.Model,
    images: Any,
    classes: Sequence[int] | int | None,
    layer: str | None,
    output: str | int | None,
    batch_size: int,
    stated: Mapping[str, Any],
) -> np.ndarray:
    """The maps of a method that weights a layer's maps by the gradient of the class's logit.

    Args:
        weighted: (maps A, gradient of the logit by A), both (batch, height, width, channels), to (batch, height,
            width).

    The other arguments, the result and the errors are those of `grad_cam`.
    """
    images = checked_images(model, images, stated)
    graph = Graph(model, output=output, image_shape=images.shape[1:])
    score, _ = logits(graph)
    front, back = _halves(graph, _source_call(graph, layer), score)
    wanted = wanted_classes(classes, len(images), score.shape[-1])

    def heat(batch: Any, start: int) -> Any:
        batch = ops.convert_to_tensor(batch)
        features = front(batch, training=False)
        chosen = None if wanted is None else wanted[start : start + len(batch)]
        gradient = gradient_of(functools.partial(_score_of, back, chosen, batch), features)
        return ops.relu(weighted(ops.cast(features, "float32"), ops.cast(gradient, "float32")))

    return maps_over(images, batch_size, heat)


def _halves(graph: Graph, source: Call, score: Any) -> tuple[Any, Callable[[Any, Any], Any]]:
    """The model up to a layer's maps, and from these maps (and the image, where other ways lead around the layer) to
    the score."""
    front = graph.model(source.outputs)
    try:
        alone = keras.Model(source.outputs, score)
    except ValueError:  # ways around it: the image is needed too, and the gradient is that through the layer alone
        both = keras.Model([source.outputs, graph.image], score)
        return front, lambda features, image: both([features, image], training=False)
    return front, lambda features, _: alone(features, training=False)


def _source_call(graph: Graph, name: str | None) -> Call:
    """The call whose maps are looked at: the named one, else the last with more than one position.

    Raises: ValueError for a name that the model does not have or that gives no feature map; for a model without one.
    """
    maps = graph.maps()
    if name is not None:
        call = graph.find(name)
        if call not in maps:
            why = "has no part in the output" if is_map(call.outputs) else "gives no feature map"
            last = ", ".join(call.name for call in maps[-5:]) or "none"
            raise ValueError(f"layer {name!r} {why}; feature maps: {last}.")
        return call
    if not maps:
        raise ValueError(
            f"model {graph.name!r} has no layer that gives a feature map: it has no convolution to explain."
        )
    return next((call for call in reversed(maps) if call.outputs.shape[1:3] != (1, 1)), maps[-1])


def _score_of(back: Callable[[Any, Any], Any], classes: Any, image: Any, features: Any) -> Any:
    """The sum over the batch of each image's score of its class, or of its highest score."""
    scores = ops.cast(back(features, image), "float32")
    if classes is None:
        return ops.sum(ops.max(scores, axis=-1))
    return ops.sum(scores * ops.one_hot(ops.cast(classes, "int32"), scores.shape[-1]))
