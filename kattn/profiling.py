"""What a model costs: parameters, multiply-adds, activation memory, and the attention's share."""

from __future__ import annotations

import contextlib
import functools
import math
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import keras

from kattn.graph.inside import all_layers, parameters
from kattn.layers import LAYERS
from kattn.layers.pieces.portable import portable_graphs
from kattn.layers.pieces.spectral_norm import SpectralNorm

Shape = tuple[int, ...]


@dataclass
class Profile:
    """Cost of one forward pass of one image.

    Attributes:
        parameters: Values of all weights that training can change, frozen or not, nested models' too.
        trainable_parameters: Those that are not frozen.
        non_trainable: The other values: statistics of normalisations.
        macs: Multiply-adds of convolutions and dense layers; biases, normalisations and activations are free, as in the
            tables of the papers.
        matmul_macs: Multiply-adds of matrix products outside those layers (attention maps times values).
        activation_bytes: Sum of the outputs of all layers of the model and of models nested in it, in their compute
            precision: what a training step has to keep, roughly.
        attention_parameters, attention_macs: The part in kattn's attention layers.
        by_layer: (name, class, multiply-adds) of the model's layers that have any.
    """

    parameters: int = 0
    trainable_parameters: int = 0
    non_trainable: int = 0
    macs: int = 0
    matmul_macs: int = 0
    activation_bytes: int = 0
    attention_parameters: int = 0
    attention_macs: int = 0
    by_layer: list[tuple[str, str, int]] = field(default_factory=list)

    def __str__(self) -> str:
        def share(part: int, whole: int) -> str:
            return f"{part:,} ({100 * part / max(whole, 1):.1f} % of it attention)"

        frozen = "" if self.trainable_parameters == self.parameters else f"; {self.trainable_parameters:,} trainable"
        matmul = f"\nmatrix products  {self.matmul_macs:,} MACs" if self.matmul_macs else ""
        return (
            f"parameters       {self.parameters:,} ({self.attention_parameters:,} in attention layers{frozen})\n"
            f"MACs             {self.macs:,} ({self.attention_macs:,} in attention layers){matmul}\n"
            f"activations      {self.activation_bytes / 2**20:.1f} MiB"
        )


def profile(model: keras.Model, input_shape: Shape | None = None) -> Profile:
    """Count what a model costs, for one image.

    The model is traced once with every layer call observed, nested and shared ones too, so grouped convolutions, layers
    inside layers and repeated calls are counted as they run; nothing is computed.

    Args:
        model: Any built Keras model with one or several inputs.
        input_shape: (height, width, channels), for a model of one input whose own shape leaves sizes open.

    Returns: The Profile. `print` shows its totals.
    Raises: ValueError where a size is open and `input_shape` does not give it, or the model is not built.
    """
    learned = _values(parameters(model))
    result = Profile(
        parameters=learned,
        trainable_parameters=_values(model.trainable_weights),
        non_trainable=_values(model.weights) - learned,
    )
    inputs = _inputs(model, input_shape)
    top = {id(layer) for layer in model.layers}
    kept = {id(layer) for layer in all_layers(model)}
    attention: list[keras.Layer] = []
    seen: set[int] = set()

    def count(layer: keras.Layer, args: tuple[Any, ...], outputs: Any, stack: list[keras.Layer]) -> None:
        if id(layer) in kept:
            result.activation_bytes += sum(_bytes(y) for y in keras.tree.flatten(outputs))
        inside = next((one for one in stack if _is_attention(one)), None)
        if inside is not None and id(inside) not in seen:
            seen.add(id(inside))
            attention.append(inside)
        macs = _layer_macs(layer, args, outputs)
        if not macs:
            return
        result.macs += macs
        result.attention_macs += macs if inside is not None else 0
        owner = next((one for one in stack if id(one) in top), layer)
        if result.by_layer and result.by_layer[-1][0] == owner.name:
            macs += result.by_layer.pop()[2]
        result.by_layer.append((owner.name, type(owner).__name__, macs))

    def count_product(macs: int) -> None:
        result.matmul_macs += macs

    with _observed(count, count_product), portable_graphs():  # whose products of pooled maps are layers
        _Probe(model)(inputs)
    result.attention_parameters = sum(_values(parameters(layer)) for layer in attention)
    return result


class _Probe(keras.Layer):
    """Has no shape rule of its own, so calling it on symbolic tensors traces the whole model on any backend."""

    def __init__(self, model: keras.Model) -> None:
        super().__init__(name="probe")
        self.call_model = lambda inputs: model(inputs, training=False)
        self.built = True

    def call(self, inputs: Any) -> Any:
        return keras.tree.flatten(self.call_model(inputs))


def _inputs(model: keras.Model, input_shape: Shape | None) -> Any:
    if not getattr(model, "inputs", None):
        raise ValueError(f"model {model.name!r} is not built: call it once on an image, or build it functionally.")
    if input_shape is not None and len(model.inputs) != 1:
        raise ValueError(f"input_shape is for models of one input; {model.name!r} has {len(model.inputs)}.")
    tensors = []
    for tensor in model.inputs:
        shape = tuple(input_shape) if input_shape is not None else tuple(tensor.shape[1:])
        if None in shape:
            raise ValueError(f"model {model.name!r} takes {shape}: give profile(model, input_shape=(h, w, c)).")
        tensors.append(keras.KerasTensor((1, *shape), dtype=tensor.dtype))
    return tensors[0] if len(tensors) == 1 else tensors


def _is_attention(layer: keras.Layer) -> bool:
    wrapped = layer.layer if isinstance(layer, keras.layers.TimeDistributed) else layer
    return isinstance(wrapped, tuple(LAYERS.values()))


def _values(weights: Iterable[Any]) -> int:
    return sum(math.prod(weight.shape) for weight in weights)


def _bytes(tensor: Any) -> int:
    size = {"float16": 2, "bfloat16": 2, "float64": 8}.get(keras.backend.standardize_dtype(tensor.dtype), 4)
    return size * math.prod(int(s) for s in tensor.shape)


def _layer_macs(layer: keras.Layer, args: tuple[Any, ...], outputs: Any) -> int:
    # These run their layer's computation without calling the layer: with another kernel, or once a time step.
    per_step = isinstance(layer, keras.layers.TimeDistributed)
    inner = layer.layer if per_step or isinstance(layer, SpectralNorm) else layer
    for kind, rule in _rules():
        if isinstance(inner, kind):
            shapes = [tuple(int(size) for size in tensor.shape) for tensor in (args[0], outputs)]
            return rule(inner, *((x[0] * x[1], *x[2:]) if per_step else x for x in shapes))
    return 0


@functools.cache
def _rules() -> list[tuple[Any, Callable[[Any, Shape, Shape], int]]]:
    layers = keras.layers

    def positions(layer: Any, shape: Shape) -> int:
        spatial = shape[2:] if layer.data_format == "channels_first" else shape[1:-1]
        return shape[0] * math.prod(spatial)

    def depthwise(layer: Any, x: Shape, y: Shape) -> int:
        kernel = layer.depthwise_kernel if hasattr(layer, "depthwise_kernel") else layer.kernel
        return positions(layer, y) * math.prod(kernel.shape)

    def separable(layer: Any, x: Shape, y: Shape) -> int:
        return positions(layer, y) * (math.prod(layer.depthwise_kernel.shape) + math.prod(layer.pointwise_kernel.shape))

    # A convolution's kernel already has input channels / groups; a transposed one runs once for each input position.
    return [
        ((layers.DepthwiseConv1D, layers.DepthwiseConv2D), depthwise),
        ((layers.SeparableConv1D, layers.SeparableConv2D), separable),
        (
            (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose),
            lambda layer, x, y: positions(layer, x) * math.prod(layer.kernel.shape),
        ),
        (
            (layers.Conv1D, layers.Conv2D, layers.Conv3D),
            lambda layer, x, y: positions(layer, y) * math.prod(layer.kernel.shape),
        ),
        (layers.Dense, lambda layer, x, y: math.prod(x[:-1]) * math.prod(layer.kernel.shape)),
        (layers.EinsumDense, lambda layer, x, y: _einsum_macs(layer.equation, x, tuple(layer.kernel.shape))),
    ]


def _einsum_macs(equation: str, *shapes: Shape) -> int:
    """Product of the sizes of all letters of an einsum."""
    terms = equation.replace(" ", "").split("->")[0].split(",")
    sizes: dict[str, int] = {}
    extra = 1
    for term, shape in zip(terms, shapes, strict=True):
        if "..." in term:
            named = len(term) - 3
            before = term.index("...")
            rest = shape[before : len(shape) - (named - before)]
            extra = max(extra, math.prod(rest))
            shape = shape[:before] + shape[before + len(rest) :]
            term = term.replace("...", "")
        sizes |= dict(zip(term, shape, strict=True))
    return extra * math.prod(sizes.values())


def _matmul_macs(a: Any, b: Any, *_: Any, **__: Any) -> int:
    x, y = ([int(s) for s in t.shape] for t in (a, b))
    batch = max(math.prod(x[:-2]), math.prod(y[:-2]))
    columns = y[-1] if len(y) > 1 else 1
    rows = x[-2] if len(x) > 1 else 1
    return batch * rows * x[-1] * columns


_PRODUCTS: dict[str, Callable[..., int]] = {
    "matmul": _matmul_macs,
    "einsum": lambda equation, *operands, **_: _einsum_macs(equation, *(tuple(map(int, o.shape)) for o in operands)),
}
_LOCK = threading.Lock()


@contextlib.contextmanager
def _observed(count: Callable[..., None], count_product: Callable[[int], None]) -> Iterator[None]:
    """Observe layer calls, and the matrix products of `keras.ops` that layers make themselves, in this thread.

    Keras's own layers do not go through the public `keras.ops` names, so nothing is counted twice.
    """
    thread = threading.get_ident()
    stack: list[keras.Layer] = []
    call = keras.Layer.__call__
    originals = {name: getattr(keras.ops, name) for name in _PRODUCTS}

    def observed_call(layer: keras.Layer, *args: Any, **kwargs: Any) -> Any:
        if threading.get_ident() != thread or isinstance(layer, _Probe):
            return call(layer, *args, **kwargs)
        stack.append(layer)
        try:
            outputs = call(layer, *args, **kwargs)
            count(layer, args, outputs, stack)
        finally:
            stack.pop()
        return outputs

    def observed_product(name: str) -> Callable[..., Any]:
        @functools.wraps(originals[name])
        def run(*args: Any, **kwargs: Any) -> Any:
            if threading.get_ident() == thread:
                count_product(_PRODUCTS[name](*args, **kwargs))
            return originals[name](*args, **kwargs)

        return run

    with _LOCK:
        try:
            keras.Layer.__call__ = observed_call
            for name in _PRODUCTS:
                setattr(keras.ops, name, observed_product(name))
            yield
        finally:
            keras.Layer.__call__ = call
            for name, original in originals.items():
                setattr(keras.ops, name, original)
