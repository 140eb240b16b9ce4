"""What class maps share: the logit that is explained, the class of each image, and maps over all images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from kattn.explain.images import full_size, in_batches
from kattn.facts.description import BINARY, EMBEDDING, INTEGERS, MAP, MEASURED, MODEL, VALUES
from kattn.facts.of_model import describe_model
from kattn.facts.stated import Stated
from kattn.graph.calls import Call
from kattn.graph.opened import Graph

SQUASHING = ("softmax", "sigmoid", "linear")
OWN_ACTIVATION = keras.layers.Dense | keras.layers.Conv2D  # layers whose activation is taken off


class Logits(keras.Layer):
    """The values of a dense layer or a convolution before its activation."""

    def __init__(self, layer: Any, **kwargs: Any) -> None:
        super().__init__(dtype=layer.dtype_policy, **kwargs)
        self.layer = layer
        self.built = True

    def call(self, x: Any) -> Any:
        """x W + b."""
        if isinstance(self.layer, keras.layers.Dense):
            y = ops.matmul(x, self.layer.kernel)
        else:
            y = self.layer.convolution_op(x, self.layer.kernel)
        return y + self.layer.bias if self.layer.use_bias else y

    def compute_output_shape(self, input_shape: Any) -> Any:
        """One value a class."""
        return self.layer.compute_output_shape(input_shape)


@dataclass(frozen=True)
class Scores:
    """What class maps explain.

    Attributes:
        tensor: (batch, ..., classes): the values in front of the output's softmax or sigmoid.
        call: The call that gives them.
        sides: One sigmoid unit: a value speaks for the second of two classes, and what lowers it for the first.
        chosen: The predicted class can be explained; else it has to be said which number is meant.
        what: For errors: the output, and what it gives.
    """

    tensor: Any
    call: Call | None
    sides: bool
    chosen: bool
    what: str

    @property
    def classes(self) -> int:
        """How many classes, or numbers, there are to explain."""
        return 2 if self.sides else int(self.tensor.shape[-1])


def both_sides(x: Any) -> Any:
    """Scores (or maps) of two classes from those of one unit."""
    return ops.concatenate([-x, x], axis=-1)


def scores_of(
    graph: Graph, model: keras.Model, stated: Mapping[str, Any] | None = None, *, maps: bool = False
) -> Scores:
    """The scores in front of an output's softmax or sigmoid.

    Args:
        graph: The model's, with the output chosen.
        model: Says what the output is.
        stated: What the caller states of it: see `kattn.facts.stated.Stated`.
        maps: Take scores of pixels or positions, (batch, ..., classes), too.

    Raises: ValueError for an output that gives no scores.
    """
    tensor, call = graph.output, graph.source_of(graph.output)
    while call is not None and _only_squashes(call.layer):
        tensor = call.args[0]
        call = graph.source_of(tensor)
    output = describe_model(model, Stated.of(stated or {})).outputs[graph.output_name]
    kind = output.kind
    guessed = kind.value == VALUES and kind.origin in (MODEL, MEASURED)  # or logits of classes
    what = f"output {graph.output_name!r} of {graph.name!r}"
    ranks = (2, 3, 4) if maps and not guessed else (2,)
    if kind.value == INTEGERS or len(tensor.shape) not in ranks or tensor.shape[-1] is None:
        problem = "whole numbers, which have no gradient" if kind.value == INTEGERS else "no class scores"
        hint = ' kinds="map" says that these are scores of pixels.' if maps and guessed else ""
        others = ", ".join(name for name, t in graph.outputs.items() if len(t.shape) == 2) or "none"
        raise ValueError(
            f"{what} gives {problem} (batch, classes), its shape is {tuple(tensor.shape)}; outputs that do: {others}. "
            f"Choose one with output=.{hint}"
        )
    if call is not None and isinstance(call.layer, OWN_ACTIVATION) and _name(call.layer.activation) != "linear":
        tensor = Logits(call.layer)(call.args[0])
    sides = tensor.shape[-1] == 1 and kind.value in (BINARY, MAP)
    if sides and output.activated and tensor is graph.output:  # a sigmoid that could not be taken off
        tensor = tensor - 0.5
    numbers = kind.value == EMBEDDING or (kind.value == VALUES and not guessed)
    return Scores(tensor, call, sides, not numbers or tensor.shape[-1] == 1, f"{what} gives {kind.value}")


def wanted_classes(classes: Sequence[int] | int | None, count: int, width: int, refused: str = "") -> np.ndarray | None:
    """The class to explain of each image; None where the predicted ones are meant.

    Args:
        classes: As the user gives them.
        count, width: Numbers of images and of classes.
        refused: What the output gives, where none of it is predicted.

    Raises: ValueError for a class that the model does not have, and for another number of classes than images; for none
        where one has to be named.
    """
    if classes is None:
        if refused:
            raise ValueError(f"{refused}, {width} numbers of which none is the predicted one: say with classes= which.")
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
