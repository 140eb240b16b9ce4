"""The model as exporters take it: a functional one with one named input and named outputs."""

from __future__ import annotations

import collections
import fnmatch
import functools
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from kattn.export.errors import ExportInputError
from kattn.export.source.portable_layers import bare_operations, portable_layers
from kattn.facts.description import Description, Input
from kattn.facts.made_up import made_up
from kattn.graph.inside import all_layers
from kattn.layers.pieces.portable import portable_graphs
from kattn.suggest import closest

PIECES = "kattn.layers.pieces."
BATCH_BYTES = 64 * 2**20  # images of one batch while the model is run for comparison


@dataclass
class Taken:
    """One input of a model as it is exported.

    Attributes:
        shape: Of one image: height, width, channels; None for what the artefact leaves open.
        dtype: Of the artefact's input before it is quantised.
        given: What is known of it.
        span: The range that a quantised input has at least; None leaves it to the calibration images.
    """

    shape: tuple[int | None, ...]
    dtype: str
    given: Input
    span: tuple[float, float] | None = None

    def made_up(self, count: int, shape: tuple[int, ...]) -> np.ndarray:
        """Made-up images of its type, and in its range as far as that is known."""
        return made_up(count, shape, self.dtype, self.given.value_range.value or self.given.typical)


@dataclass
class Source:
    """A functional model with named inputs and outputs, in float32.

    Attributes:
        model: What is converted; its output is a dict.
        reference: What the artefact must compute; the model as given, where that is in float32.
        outputs: Names in the order given.
        inputs: By name, in the model's order.
        description: What is known of its inputs and of the outputs.
        sizes: Shapes of the first input to compare at: its own, or two where it leaves some of its sizes open.
        notes: What was changed.
    """

    model: keras.Model
    reference: keras.Model
    outputs: tuple[str, ...]
    inputs: dict[str, Taken]
    description: Description
    sizes: list[tuple[int, ...]]
    notes: list[str] = field(default_factory=list)

    @property
    def kinds(self) -> dict[str, str]:
        """Output to its kind, as in `kattn.facts`."""
        return {name: output.kind.value for name, output in self.description.outputs.items()}

    @property
    def blocks(self) -> dict[str, int]:
        """The layers that are not Keras's own, nor what kattn's are made of: registered name to how many."""
        kinds = [type(layer) for layer in all_layers(self.reference)]
        own = [kind for kind in kinds if not f"{kind.__module__}.".startswith(("keras.", PIECES))]
        return dict(collections.Counter(map(keras.saving.get_registered_name, own)))

    @property
    def first(self) -> Taken:
        """The first input: the image."""
        return next(iter(self.inputs.values()))

    @property
    def shape(self) -> tuple[int | None, ...]:
        """Of one image."""
        return self.first.shape

    @property
    def dtype(self) -> str:
        """Of the image."""
        return self.first.dtype

    @property
    def image(self) -> Input:
        """What is known of the image."""
        return self.first.given

    @property
    def open(self) -> bool:
        """Whether the artefact leaves sizes open."""
        return any(None in taken.shape for taken in self.inputs.values())

    def made_up(self, count: int, size: tuple[int, ...] | None = None) -> dict[str, np.ndarray]:
        """Made-up values for each input.

        Args:
            count: How many.
            size: Shape of the first input; None for the first of `sizes`.
        """
        first = next(iter(self.inputs))
        known = {name: tuple(side or 0 for side in taken.shape) for name, taken in self.inputs.items()}
        shapes = known | {first: size or self.sizes[0]}
        return {name: taken.made_up(count, shapes[name]) for name, taken in self.inputs.items()}

    def cast(self, images: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The images in the types of the inputs."""
        return {name: images[name].astype(taken.dtype) for name, taken in self.inputs.items()}

    def signature(self, batch: int | None) -> list[Any]:
        """A TensorSpec for each input."""
        import tensorflow as tf

        return [tf.TensorSpec((batch, *taken.shape), taken.dtype, name=name) for name, taken in self.inputs.items()]

    def function(self) -> Callable[..., dict[str, Any]]:
        """The network as a plain function from its input tensors to its named outputs, Keras's layers portable."""
        function = named_function(self.model, self.outputs)

        def serve(*tensors: Any) -> dict[str, Any]:
            with portable_layers(self.model):
                return function(*tensors)

        return serve

    def layer_of(self, name: str) -> str:
        """The layer in a tensor's name, "block1_se" in "resnet20_1/block1_se_1/Conv2D;..."; else the name itself.

        Keras enters each scope twice, so TensorFlow numbers the second one: "net_1/conv2d_1/..." is conv2d, of a model
        called net, and conv2d_1 is "net_1/conv2d_1_2/...". Scopes are read as layers if the model's own has no number.
        """
        if name in self.output_layers:
            return self.output_layers[name]
        parts = re.split(r"[/;:]", name)
        numbered = parts[0] != self.model.name
        for part in parts:
            once, all_off = re.sub(r"_\d+$", "", part), re.sub(r"(_\d+)+$", "", part)
            for known in (once, part, all_off) if numbered else (part, once, all_off):
                if known in self.layers:
                    return known
        return name

    def layers_with(self, operators: Collection[str]) -> list[str]:
        """The layers that compute some of these TensorFlow operators."""
        import tensorflow as tf

        graph = (
            tf.function(self.function(), autograph=False).get_concrete_function(*self.signature(1)).graph.as_graph_def()
        )
        nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
        return list(dict.fromkeys(self.layer_of(node.name) for node in nodes if node.op in operators))

    def layers_named(self, patterns: Sequence[str]) -> list[str]:
        """The layers whose names match one of the patterns ("*_gate").

        Raises: ExportInputError for a pattern that matches none.
        """
        given = [patterns] if isinstance(patterns, str) else list(patterns)
        unknown = [pattern for pattern in given if not fnmatch.filter(self.layers, pattern)]
        if unknown:
            close = closest(unknown[0], sorted(self.layers))
            hint = f" Closest: {', '.join(close)}." if close else ""
            raise ExportInputError(f"The model has no layer named {', '.join(unknown)}.{hint}")
        return sorted({name for pattern in given for name in fnmatch.filter(self.layers, pattern)})

    @functools.cached_property
    def output_layers(self) -> dict[str, str]:
        """Output to the layer that computes it, but for one inside a nested model: its tensor has the output's name."""
        found: dict[str, str] = {}
        for layer in self.model.layers:
            try:
                results = keras.tree.flatten(layer.output)
            except (AttributeError, ValueError):  # used several times, or never
                continue
            found |= {name: layer.name for name in self.outputs if any(x is self.model.output[name] for x in results)}
        return found

    @functools.cached_property
    def layers(self) -> frozenset[str]:
        """Names of the layers and operations, those inside nested models too."""
        return frozenset(one.name for one in (*all_layers(self.model), *bare_operations(self.model)))

    def predict(self, images: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The reference's outputs, floats in float32."""
        return run_keras(self.reference, self.outputs, images)


def run_keras(
    model: keras.Model, outputs: Sequence[str], images: np.ndarray | Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """A model's named outputs as numpy, computed in batches as one graph.

    Args:
        model: Functional, with a dict of outputs.
        outputs: Names of those wanted.
        images: An array, or one for each input in the model's order.
    """
    import tensorflow as tf

    given = images.values() if isinstance(images, Mapping) else [images]

    # A concrete function: tf.function warns of retracing when many models are exported in one process.
    arrays = [a.astype(np.dtype(str(t.dtype))) for t, a in zip(model.inputs, given, strict=True)]
    specs = [tf.TensorSpec((None, *array.shape[1:]), array.dtype) for array in arrays]
    function = tf.function(named_function(model, outputs), autograph=False).get_concrete_function(*specs)
    size = max(1, min(64, BATCH_BYTES // max(1, sum(array[0].nbytes for array in arrays) * 16)))
    starts = range(0, len(arrays[0]), size)
    parts = [function(*(tf.constant(array[i : i + size]) for array in arrays)) for i in starts]
    return {name: np.concatenate([part[name].numpy() for part in parts]) for name in outputs}


def named_function(model: keras.Model, outputs: Sequence[str]) -> Callable[..., dict[str, Any]]:
    """A model whose output is a dict as a function from its inputs to the outputs asked for, floats in float32."""
    import tensorflow as tf

    def serve(*tensors: Any) -> dict[str, Any]:
        with portable_graphs():
            result = model(tensors[0] if len(tensors) == 1 else list(tensors), training=False)
        return {name: tf.cast(y, "float32") if y.dtype.is_floating else y for name in outputs for y in [result[name]]}

    return serve
