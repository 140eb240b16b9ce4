"""Grad-CAM and Grad-CAM++: the maps of a layer, weighted by the gradient of a class's logit."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from kattn.explain.class_maps.scores import Scores, both_sides, maps_over, scores_of, wanted_classes
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
    position: tuple[int, ...] | int | None = None,
    batch_size: int = 32,
    **stated: Any,
) -> np.ndarray:
    """Grad-CAM of each image, at the image's size.

    w_c = mean over positions of d score / d A_c;   map = relu(sum of w_c A_c), scaled to a maximum of 1

    The score is the class's logit: the input of the softmax or sigmoid at the model's end, a layer of its own or not.
    Of one sigmoid unit, what raises its logit speaks for class 1 and what lowers it for class 0; of a regression the
    score is the value itself. Of a map of classes it is the mean logit over the pixels that the model calls so (over
    all where none is), or that of one pixel.

    Args:
        model: A functional or Sequential model of one input; models nested in it are opened.
        images: (images, height, width, channels), as the model takes them.
        classes: The class to explain, for all images or for each, or the number of the value. None: the predicted class
            (of a map: that of most pixels); several values of a regression, and embeddings, have none.
        layer: Name of the layer whose maps A are weighted ("inner_model/layer" in a nested model). None: the last one
            on the way to the score that gives a feature map of more than one position. Where other ways lead around
            the layer, the gradient is that through the layer alone.
        output: Name or index of the output to explain. None: "predictions", else the first.
        position: Of a map of classes: (row, column) of the pixel of the output that is explained. None: all of them.
        batch_size: Images at a time.
        stated: What is known of the model's input: value_range, preprocess; see `kattn.facts.stated.Stated`.

    Returns: float32 (images, height, width) in 0-1; all zero where nothing speaks for the class.
    Raises: ValueError for a layer that is none of the model's (with the closest names), or is no feature map on the
        way to the score; for a model without feature maps; for classes out of range; for images that do not fit.
    Paper: Selvaraju et al. Grad-CAM. ICCV 2017. arXiv:1610.02391
    """
    return _by_gradient(_grad_cam_map, model, images, classes, layer, output, position, batch_size, stated)


def grad_cam_plus_plus(
    model: keras.Model,
    images: Any,
    *,
    classes: Sequence[int] | int | None = None,
    layer: str | None = None,
    output: str | int | None = None,
    position: tuple[int, ...] | int | None = None,
    batch_size: int = 32,
    **stated: Any,
) -> np.ndarray:
    """Grad-CAM++ of each image, at the image's size: closer than Grad-CAM where a class is there several times.

    g = d score / d A;   a = g^2 / (2 g^2 + g^3 sum over positions of A)
    w_c = sum over positions of a relu(g);   map = relu(sum of w_c A_c), scaled to a maximum of 1

    The score is the logit S. The paper derives a for exp(S), whose further factor exp(S) is the same for all
    positions and channels and leaves with the scaling.

    Returns, arguments and errors: as `grad_cam`.
    Paper: Chattopadhyay et al. Grad-CAM++. WACV 2018. arXiv:1710.11063
    Code: adityac94/Grad_CAM_plus_plus
    """
    return _by_gradient(_grad_cam_plus_plus_map, model, images, classes, layer, output, position, batch_size, stated)


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
    position: tuple[int, ...] | int | None,
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
    scored = scores_of(graph, model, stated, maps=True)
    front, back = _halves(graph, _source_call(graph, layer, scored), scored.tensor)
    wanted = wanted_classes(classes, len(images), scored.classes, "" if scored.chosen else scored.what)
    place = _place(scored, position)

    def heat(batch: Any, start: int) -> Any:
        batch = ops.convert_to_tensor(batch)
        features = front(batch, training=False)
        chosen = None if wanted is None else wanted[start : start + len(batch)]
        gradient = gradient_of(functools.partial(_score_of, back, scored, place, chosen, batch), features)
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


def _source_call(graph: Graph, name: str | None, scored: Scores) -> Call:
    """The call whose maps are looked at: the named one, else the last with more than one position.

    Raises: ValueError for a name that the model does not have or that gives no feature map; for a model without one.
    """
    maps = graph.maps()
    if scored.call is not None and len(scored.tensor.shape) > 2:  # the scores are a map too
        before = {id(operation) for operation in graph.model(scored.call.inputs).operations}
        maps = [call for call in maps if id(call.operation) in before]
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


def _place(scored: Scores, position: tuple[int, ...] | int | None) -> int | None:
    """The number of a pixel among all those of the output.

    Raises: ValueError for a position outside the output, and of an output that has none.
    """
    if position is None:
        return None
    sides = tuple(scored.tensor.shape[1:-1])
    given = (position,) if isinstance(position, int) else tuple(position)
    if not sides or len(given) != len(sides) or any(not 0 <= i < n for i, n in zip(given, sides, strict=True)):
        wanted = f"a place of {sides}" if sides else "left out: it has no pixels"
        raise ValueError(f"{scored.what}; position must be {wanted}. Received: position={position!r}")
    return int(np.ravel_multi_index(given, sides))


def _score_of(
    back: Callable[[Any, Any], Any], scored: Scores, place: int | None, classes: Any, image: Any, features: Any
) -> Any:
    """The sum over the batch of each image's score of its class, or of its highest score."""
    scores = ops.cast(back(features, image), "float32")
    if scored.sides:
        scores = both_sides(scores)
    if len(scores.shape) > 2:
        scores = ops.reshape(scores, (scores.shape[0], -1, scores.shape[-1]))
        scores = scores[:, place] if place is not None else _mean_of_called(scores, classes)
    if classes is None:
        return ops.sum(ops.max(scores, axis=-1))
    return ops.sum(scores * ops.one_hot(ops.cast(classes, "int32"), scores.shape[-1]))


def _mean_of_called(scores: Any, classes: Any) -> Any:
    """Scores (batch, pixels, classes) as (batch, classes): of each class the mean over the pixels that are called so.

    Of a class that no pixel is called it is the mean over all. Where the class of most pixels is meant (classes is
    None), the others are left out of the choice.
    """
    count = scores.shape[-1]
    called = ops.one_hot(ops.argmax(scores, axis=-1), count)
    sizes = ops.sum(called, axis=1)
    means = ops.sum(scores * called, axis=1) / ops.maximum(sizes, 1.0)
    means = ops.where(sizes > 0, means, ops.mean(scores, axis=1))
    if classes is None:
        most = ops.one_hot(ops.argmax(sizes, axis=-1), count)
        return ops.where(most > 0, means, -1e30)
    return means
