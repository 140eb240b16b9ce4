"""Kinds of outputs, from what the graph does last, from the loss of a compiled model, or as stated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from kattn.facts.description import (
    ATTRIBUTES,
    BINARY,
    CLASSES,
    COMPILED,
    EMBEDDING,
    INTEGERS,
    MAP,
    MODEL,
    SCORES,
    STATED,
    VALUES,
    Fact,
    Output,
)
from kattn.facts.kind_of_values import kind_of_values
from kattn.facts.made_up import made_up
from kattn.facts.stating import check_kinds
from kattn.graph.calls import Call
from kattn.graph.compiled import compiled
from kattn.graph.flow import Flow
from kattn.graph.outputs import named_outputs

SOFTMAX, LOG_SOFTMAX, SIGMOID = "softmax", "log_softmax", ("sigmoid", "hard_sigmoid")
L = keras.layers
# What passes values on as they are in inference, as far as their kind goes.
PASSING = (
    *(L.Dropout, L.SpatialDropout1D, L.SpatialDropout2D, L.GaussianNoise, L.GaussianDropout, L.Identity),
    L.ActivityRegularization,
)
PASSING_OPERATIONS = ("Cast", "Squeeze", "ExpandDims", "Identity", "StopGradient", "Copy")
POOLED = (
    *(L.GlobalAveragePooling1D, L.GlobalAveragePooling2D, L.GlobalMaxPooling1D, L.GlobalMaxPooling2D),
    *(L.Flatten, L.UnitNormalization),
)
# Layers whose values have no further meaning of their own, after their activation.
PLAIN = (
    *(L.Dense, L.Conv1D, L.Conv2D, L.Conv2DTranspose, L.SeparableConv2D, L.DepthwiseConv2D, L.EinsumDense),
    *(L.Activation, L.ReLU, L.LeakyReLU, L.PReLU, L.ELU, L.BatchNormalization, L.LayerNormalization),
    *(L.UpSampling2D, L.Resizing, L.Rescaling),
)
LOSSES = {
    CLASSES: ("categorical_crossentropy", "sparse_categorical_crossentropy", "categorical_focal_crossentropy"),
    ATTRIBUTES: ("binary_crossentropy", "binary_focal_crossentropy"),
    VALUES: (
        *("mean_squared_error", "mse", "mean_absolute_error", "mae", "mean_absolute_percentage_error", "mape"),
        *("mean_squared_logarithmic_error", "msle", "huber", "log_cosh", "poisson"),
    ),
    EMBEDDING: ("cosine_similarity",),
}
LOGITS = "logits"  # the field's name for scores of classes
MEASURED_IMAGES = 4


def describe_outputs(model: keras.Model, stated: Mapping[str, str] | None = None) -> dict[str, Output]:
    """The outputs of a functional or built Sequential model by name, each with its kind.

    What was stated counts first. A softmax over the last axis gives classes, of each position where there are several;
    a sigmoid gives yes or no, of one unit, several attributes, or a map; `argmax` and other integers give integers.
    Otherwise the loss of a compiled model says what the output is trained for, and a layer that is called "logits"
    gives classes. A pooled map and a vector of unit length are embeddings, everything else is values. What ends in
    another layer than Keras's own is run on made-up images: rows that add up to 1 are classes.

    Args:
        model: The model.
        stated: Output to kind, for those that are known better.

    Raises: ValueError for an output that the model does not have or a kind that does not exist.
    """
    flow = Flow(model)
    check_kinds(stated or {}, flow.outputs)
    losses = _loss_names(model)
    found: dict[str, Output] = {}
    for name, tensor in flow.outputs.items():
        shape = tuple(tensor.shape[1:])
        ending, call = _ending(flow, tensor)
        kind = _by_graph(name, tensor, ending, call, losses.get(name, ""))
        if kind is None:
            kind, ending = _by_values(model, name, shape)
        if stated and name in stated:
            kind = Fact(stated[name], STATED)
        scores = kind.value in SCORES and ending != LOG_SOFTMAX
        found[name] = Output(name, shape, kind, activated=ending in (SOFTMAX, *SIGMOID) if scores else None)
    return found


def _by_graph(name: str, tensor: Any, ending: str, call: Call | None, loss: str) -> Fact | None:
    """The kind by the last operation, the loss or the name; None where none of these tells."""
    rank, last = len(tensor.shape), tensor.shape[-1] if len(tensor.shape) > 1 else 1
    layer = call.name if call else name
    if keras.backend.is_int_dtype(tensor.dtype) or str(tensor.dtype) == "bool":
        return Fact(INTEGERS, MODEL, f"type {tensor.dtype}")
    if ending in (SOFTMAX, LOG_SOFTMAX) and last != 1:
        return Fact(CLASSES if rank == 2 else MAP, MODEL, f"{ending} of {layer!r} over the last axis")
    if by_loss := next((kind for kind, names in LOSSES.items() if loss in names), None):
        if by_loss == ATTRIBUTES and last == 1:
            by_loss = BINARY
        if rank > 2 and by_loss in (CLASSES, ATTRIBUTES, BINARY):
            by_loss = MAP
        return Fact(by_loss, COMPILED, loss)
    if ending in SIGMOID:
        kind = MAP if rank > 2 else BINARY if last == 1 else ATTRIBUTES
        return Fact(kind, MODEL, f"sigmoid of {layer!r}")
    if ending in ("normalize", "pooled") and rank == 2:
        return Fact(EMBEDDING, MODEL, f"layer {layer!r}")
    if ending == "other":
        return None
    if LOGITS in (name, layer.rpartition("/")[2]) and last != 1 and rank == 2:
        return Fact(CLASSES, MODEL, f"called {LOGITS!r}")
    return Fact(VALUES, MODEL, f"{ending} of {layer!r}")


def _ending(flow: Flow, tensor: Any) -> tuple[str, Call | None]:
    """The last operation that gives an output its meaning, and the call that does it."""
    call, shape = flow.maker(tensor), tuple(tensor.shape)
    while call is not None and _passes(call, shape):
        call = flow.before(call)
    if call is None:
        return "other", None
    layer, rank = call.layer, len(call.results[0].shape)
    if isinstance(layer, L.Softmax) or type(layer).__name__ in ("Softmax", "LogSoftmax"):
        axes = [axis % rank for axis in np.atleast_1d(layer.axis).tolist()] if layer.axis is not None else []
        ending = LOG_SOFTMAX if type(layer).__name__ == "LogSoftmax" else SOFTMAX
        return (ending if axes == [rank - 1] else "softmax over other axes"), call
    if isinstance(layer, POOLED):
        return "pooled", call
    activation = getattr(getattr(layer, "activation", None), "__name__", "")
    if activation and isinstance(layer, PLAIN):
        return activation, call
    if isinstance(layer, PLAIN):
        return type(layer).__name__, call
    operation = {"Sigmoid": "sigmoid", "HardSigmoid": "hard_sigmoid", "Normalize": "normalize"}
    return operation.get("" if isinstance(layer, keras.Layer) else type(layer).__name__, "other"), call


def _passes(call: Call, shape: tuple[Any, ...]) -> bool:
    """Whether a call passes values on, so that what gives them is looked for in front of it."""
    layer = call.layer
    if isinstance(layer, L.Activation):
        return getattr(layer.activation, "__name__", "") == "linear"
    if isinstance(layer, L.Reshape):
        return len(call.inputs) == 1 and call.inputs[0].shape[-1] == shape[-1]
    if isinstance(layer, keras.Layer):
        return isinstance(layer, PASSING)
    return type(layer).__name__ in PASSING_OPERATIONS


def _by_values(model: keras.Model, name: str, shape: tuple[int | None, ...]) -> tuple[Fact, str]:
    """The kind by what the model answers for made-up images."""
    if len(model.inputs) != 1 or None in model.inputs[0].shape[1:]:
        return Fact(VALUES, MODEL, "its last layer is none of Keras's own"), "other"
    tensor = model.inputs[0]
    images = made_up(MEASURED_IMAGES, tuple(tensor.shape[1:]), str(tensor.dtype))
    kind = kind_of_values(np.asarray(named_outputs(model, compiled(model)(images))[name]))
    return kind, SOFTMAX if kind.value in (CLASSES, MAP) else "other"


def _loss_names(model: keras.Model) -> dict[str, str]:
    """Output to the name of the loss that a compiled model has for it."""
    loss = getattr(model, "loss", None) if getattr(model, "compiled", False) else None
    names = list(named_outputs(model))
    if isinstance(loss, Mapping):
        given = {str(name): one for name, one in loss.items()}
    elif isinstance(loss, (list, tuple)):
        given = dict(zip(names, loss, strict=False))
    else:
        given = dict.fromkeys(names, loss)
    return {name: _loss_name(one) for name, one in given.items()}


def _loss_name(loss: Any) -> str:
    """Of a loss as `compile` takes it: a text, a function, an object; "" where there is none."""
    name = loss if isinstance(loss, str) else getattr(loss, "name", None) or getattr(loss, "__name__", None)
    return name if isinstance(name, str) else ""
