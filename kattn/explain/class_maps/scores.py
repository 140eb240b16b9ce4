"""What class maps share: the logit that is explained, the class of each image, and maps over all images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from kattn.explain.images import full_size, in_batches
from kattn.graph.calls import Call
from kattn.graph.opened import Graph

SQUASHING = ("softmax", "sigmoid", "linear")


class Logits(keras.Layer):
    """A dense layer's values before its activation."""

    def __init__(self, dense: keras.layers.Dense, **kwargs: Any) -> None:
        super().__init__(dtype=dense.dtype_policy, **kwargs)
        self.dense = dense
        self.built = True

    def call(self, x: Any) -> Any:
        """x W + b."""
        y = ops.matmul(x, self.dense.kernel)
        return y + self.dense.bias if self.dense.use_bias else y

    def compute_output_shape(self, input_shape: Any) -> Any:
        """One value a class."""
        return (*input_shape[:-1], self.dense.units)


def logits(graph: Graph) -> tuple[Any, Call | None]:
    """The scores (batch, classes) in front of the output's softmax or sigmoid, and the call that gives them.

    Raises: ValueError for an output that is not one row of scores an image.
    """
    tensor, call = graph.output, graph.source_of(graph.output)
    while call is not None and _only_squashes(call.layer):
        tensor = call.args[0]
        call = graph.source_of(tensor)
    if len(tensor.shape) != 2 or tensor.shape[-1] is None:
        others = ", ".join(name for name, t in graph.outputs.items() if len(t.shape) == 2) or "none"
        raise ValueError(
            f"output {graph.output_name!r} of {graph.name!r} gives no class scores (batch, classes), its shape is "
            f"{tuple(tensor.shape)}; outputs that do: {others}. Choose one with output=."
        )
    if call is not None and isinstance(call.layer, keras.layers.Dense) and _name(call.layer.activation) != "linear":
        return Logits(call.layer)(call.args[0]), call
    return tensor, call


def wanted_classes(classes: Sequence[int] | int | None, count: int, width: int) -> np.ndarray | None:
    """The class to explain of each image; None where the predicted ones are meant.

    Raises: ValueError for a class that the model does not have, and for another number of classes than images.
    """
    if classes is None:
        return None
    given = np.asarray(classes)
    if given.dtype.kind not in "iu" or given.ndim > 1 or (given.ndim == 1 and len(given) != count):
        raise ValueError(f"classes must be one class number, or one for each of {count} images. Received: {classes!r}")
    if given.min() < 0 or given.max() >= width:
        raise ValueError(f"classes must be 0 to {width - 1}. Received: {classes}")
    return np.broadcast_to(given, (count,))


def maps_over(images: np.ndarray, batch_size: int, heat: Callable[[np.ndarray, int], Any]) -> np.ndarray:
    """A method's maps of all images, at their size and in 0-1: the highest value of each map is 1.

    Args:
        heat: (batch, number of its first image) to maps (batch, height, width) of no negative value.
    """
    maps = np.concatenate([full_size(heat(*part), images.shape) for part in in_batches(images, batch_size)])
    top = maps.max(axis=(1, 2), keepdims=True)
    return np.where(top > 0, maps / np.where(top > 0, top, 1), 0).astype("float32")


def _only_squashes(layer: keras.Layer) -> bool:
    if isinstance(layer, keras.layers.Activation):
        return _name(layer.activation) in SQUASHING
    return isinstance(layer, keras.layers.Softmax | keras.layers.Identity)


def _name(activation: Any) -> str:
    return getattr(activation, "__name__", "")
