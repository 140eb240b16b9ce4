"""Keras's own layers as converters take them: the same numbers, from operations that every runtime has.

A layer is not replaced: while the network is traced it is called in another form, wherever it stands, in a nested
model, a wrapper, or a layer of somebody's own.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import keras
from keras import layers

from kattn.export.source import portable_forms as forms
from kattn.graph.inside import all_inside

Form = Callable[..., Any]
# Class to the form of its `call`: (layer, *arguments) to what the layer gives, or NotImplemented where Keras's own
# form is as good.
LAYERS: dict[type, Form] = {
    layers.GroupNormalization: forms.group_normalization,
    layers.LayerNormalization: forms.layer_normalization,
    layers.UnitNormalization: forms.unit_normalization,
    layers.UpSampling2D: forms.up_sampling,
    layers.Resizing: forms.resizing,
    layers.Embedding: forms.embedding,
    layers.PReLU: forms.prelu,
    layers.ELU: forms.elu,
    layers.Softmax: forms.softmax,
    layers.MultiHeadAttention: forms.attention,
    layers.GroupQueryAttention: forms.attention,
    layers.LSTM: forms.unrolled,
    layers.GRU: forms.unrolled,
    layers.SimpleRNN: forms.unrolled,
}
# Operations of keras.ops, by the name of their class, which has no public one.
OPERATIONS: dict[str, Form] = {
    "Argmax": functools.partial(forms.position, "argmax"),
    "Argmin": functools.partial(forms.position, "argmin"),
    "Negative": forms.negative,
}
# Activations by themselves, which layers hold.
ACTIVATIONS: dict[Any, Callable[[Any], Any]] = {
    keras.activations.gelu: forms.gelu,
    keras.activations.elu: forms.elu_activation,
}
_lock = threading.RLock()


@contextlib.contextmanager
def portable_layers(model: keras.Model) -> Iterator[None]:
    """Within it, the Keras layers and operations of a model compute in their portable form."""
    with _lock, contextlib.ExitStack() as stack:
        for layer in all_inside(model):
            if form := _form_of(layer):
                stack.enter_context(forms.attribute(layer, "call", functools.partial(_called, layer, form)))
            if activation := ACTIVATIONS.get(getattr(layer, "activation", None)):
                stack.enter_context(forms.attribute(layer, "activation", activation))
        for operation in bare_operations(model):
            stack.enter_context(forms.attribute(operation, "call", functools.partial(_named, operation)))
        yield


def bare_operations(model: keras.Model) -> list[Any]:
    """The operations of `keras.ops` in a model's graph and in those of nested models."""
    found = {id(one): one for graph in all_inside(model) for one in getattr(graph, "operations", ())}
    return [one for one in found.values() if not isinstance(one, keras.Layer)]


def _form_of(layer: keras.Layer) -> Form | None:
    # A subclass that computes something else has a `call` of its own.
    own = getattr(type(layer), "call", None)
    return next(
        (form for kind, form in LAYERS.items() if isinstance(layer, kind) and own is getattr(kind, "call", None)), None
    )


def _called(layer: keras.Layer, form: Form, *args: Any, **kwargs: Any) -> Any:
    result = form(layer, *args, **kwargs)
    return type(layer).call(layer, *args, **kwargs) if result is NotImplemented else result


def _named(operation: Any, *args: Any, **kwargs: Any) -> Any:
    """Call an operation in a scope of its name, entered twice as Keras does for layers (`Source.layer_of`)."""
    import tensorflow as tf

    form = OPERATIONS.get(type(operation).__name__, type(operation).call)
    with tf.name_scope(operation.name):
        pass
    with tf.name_scope(operation.name):
        return form(operation, *args, **kwargs)
