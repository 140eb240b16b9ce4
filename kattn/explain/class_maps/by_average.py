"""CAM: class activation maps of networks that end in a global average, without a gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from kattn.explain.class_maps.scores import both_sides, maps_over, scores_of, wanted_classes
from kattn.explain.images import checked_images
from kattn.graph.calls import Call, is_map
from kattn.graph.opened import Graph


def cam(
    model: keras.Model,
    images: Any,
    *,
    classes: Sequence[int] | int | None = None,
    output: str | int | None = None,
    batch_size: int = 32,
    **stated: Any,
) -> np.ndarray:
    """The class activation map of each image, at the image's size.

    map_k = relu(sum over c of W_ck A_c), scaled to a maximum of 1

    Without the relu the mean of map_k over the positions is the logit of class k, up to its bias.

    This map exists where the score is a global average of maps with at most one dense layer behind it. It also exists
    in the attention branch of an ABN, whose logits are means of one map a class: `output="attention_predictions"` with
    a class is its map of that class, or attribute.

    Args:
        model, images, classes, output, batch_size, stated: As in `grad_cam`.

    Returns: float32 (images, height, width) in 0-1; all zero where nothing speaks for the class.
    Raises: ValueError for a model of another make (`grad_cam` explains those), and as `grad_cam`.
    Paper: Zhou et al. Learning Deep Features for Discriminative Localization. CVPR 2016. arXiv:1512.04150
    """
    images = checked_images(model, images, stated)
    graph = Graph(model, output=output, image_shape=images.shape[1:])
    scored = scores_of(graph, model, stated)
    both = graph.model([class_maps(graph, scored.tensor, scored.call), scored.tensor])
    wanted = wanted_classes(classes, len(images), scored.classes, "" if scored.chosen else scored.what)

    def heat(batch: np.ndarray, start: int) -> Any:
        maps, scores = both(batch, training=False)
        if scored.sides:
            maps, scores = both_sides(maps), both_sides(scores)
        chosen = ops.argmax(scores, axis=-1) if wanted is None else wanted[start : start + len(batch)]
        mask = ops.one_hot(ops.cast(chosen, "int32"), scored.classes)
        return ops.relu(ops.sum(ops.cast(maps, "float32") * mask[:, None, None, :], axis=-1))

    return maps_over(images, batch_size, heat)


class ClassMaps(keras.Layer):
    """A call of another layer that gives one map a class."""

    def __init__(self, function: Any, classes: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.function = function
        self.classes = classes
        self.built = True

    def call(self, x: Any) -> Any:
        """Maps of the layer's input."""
        return self.function(x)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """One channel a class."""
        return (*input_shape[:-1], self.classes)


def class_maps(graph: Graph, score: Any, call: Call | None) -> Any:
    """The tensor (batch, height, width, classes) whose mean over the positions is the score, up to the bias.

    A layer that computes such maps itself says so by a method `class_maps(x)`.
    """
    if call is not None and hasattr(call.layer, "class_maps"):
        return ClassMaps(call.layer.class_maps, score.shape[-1])(call.args[0])
    dense, x = None, score
    if call is not None and isinstance(call.layer, keras.layers.Dense):
        dense, x = call.layer, call.args[0]
        call = _before_shapes(graph, graph.source_of(x))
    if call is None or not _is_average(call.layer) or not is_map(call.args[0]):
        raise ValueError(
            f"CAM needs a score that is a global average of maps, with at most one dense layer behind it; "
            f"{graph.name!r} ends otherwise. Use grad_cam."
        )
    maps = call.args[0]
    return maps if dense is None else ClassMaps(lambda x: ops.matmul(x, dense.kernel), dense.units)(maps)


def _before_shapes(graph: Graph, call: Call | None) -> Call | None:
    """The call before dropout, flattening and reshaping, which change no value in inference."""
    kinds = keras.layers.Dropout | keras.layers.Flatten | keras.layers.Reshape | keras.layers.Identity
    while call is not None and isinstance(call.layer, kinds):
        call = graph.source_of(call.args[0])
    return call


def _is_average(layer: keras.Layer) -> bool:
    return isinstance(layer, keras.layers.GlobalAveragePooling2D) and layer.data_format == "channels_last"
