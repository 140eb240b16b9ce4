"""The logits of a model's answers: its last layers keep what they make probabilities of, in every pass.

A cross-entropy of probabilities has no gradient where they are 0 in the floating-point type, and Keras cuts them at
1e-7 before that: beyond a gap of 16 between two logits nothing is learnt on JAX and torch. So losses need the logits.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Iterable
from typing import Any

import keras
from keras import ops

from kattn.graph.flow import Flow
from kattn.graph.outputs import named_outputs

SQUASHING = ("softmax", "sigmoid")
SMALLEST = 1e-37  # a normal number in float32 and bfloat16
_of_arrays: dict[int, tuple[Any, Any]] = {}  # JAX's arrays take no attributes: id -> (reference, logits)


def keep_logits(model: keras.Model, outputs: Iterable[str]) -> dict[str, str]:
    """Have the last layers of a model keep the logits of each answer that they give; see `logits_of`.

    The layers compute what they computed, and their configurations stay as they are.

    Args:
        model: Functional, or Sequential and built. It may end in nested models.
        outputs: Names of its outputs, by `named_outputs`.

    Returns: Output to how it ends: "softmax" and "sigmoid", whose logits are kept, of a layer of its own or not; the
        name of another activation; of what has none, the name of its class.
    """
    tensors = named_outputs(model)
    return {name: _keep(_last(model, name), len(tensors[name].shape)) for name in outputs}


def logits_of(answer: Any, ending: str) -> Any:
    """The logits of an answer of a model.

    Args:
        answer: What the model gave: (batch, classes).
        ending: How this output ends, by `keep_logits`.

    Returns: The logits that the last layer kept. Of probabilities that come from elsewhere, their logarithms (of odds,
        for "sigmoid"), which are as exact as the probabilities. The answer itself where it ends otherwise.
    """
    if ending not in SQUASHING:
        return answer
    kept = getattr(answer, "kattn_logits", None)
    if kept is None:
        reference, kept = _of_arrays.get(id(answer), (lambda: None, None))
        if reference() is not answer:
            kept = None
    if kept is not None:
        return kept
    logarithm = ops.log(ops.maximum(answer, SMALLEST))
    return logarithm if ending == "softmax" else logarithm - ops.log(ops.maximum(1 - answer, SMALLEST))


def _last(model: keras.Model, output: str) -> Any:
    """The layer or operation that gives an output, inside a nested model where that gives it."""
    if isinstance(model, keras.Sequential):
        last = model.layers[-1]
    else:
        tensor = named_outputs(model)[output]
        name = next(name for name, one in zip(model.output_names, model.outputs, strict=True) if one is tensor)
        last = next(one for one in model.operations if one.name == name)
    if not isinstance(last, keras.Model | keras.layers.Identity):
        return last
    flow = Flow(model)  # which makes all calls once more, so only where it is needed
    call = flow.maker(flow.outputs[output])
    while call is not None and isinstance(call.layer, keras.layers.Identity):
        call = flow.before(call)
    return call and call.layer


def _keep(layer: Any, rank: int) -> str:
    """Have a layer keep the logits; the name of its activation."""
    kind = type(layer).__name__
    if kind == "Softmax" and layer.axis not in (-1, rank - 1):
        return kind  # over another axis than the classes
    if kind in ("Softmax", "Sigmoid"):  # a layer or an operation that does nothing else
        layer.call = _keeping(layer.call)
        return kind.lower()
    activation = getattr(layer, "activation", None)
    name = getattr(activation, "__name__", "")
    if activation is not None and name in SQUASHING:
        layer.activation = _keeping(activation)
    return name or kind


def _keeping(squash: Callable[..., Any]) -> Callable[..., Any]:
    if hasattr(squash, "keeps_logits"):
        return squash

    @functools.wraps(squash)  # of the same name, so that a layer's configuration stays as it is
    def keeping(x: Any, *args: Any, **kwargs: Any) -> Any:
        answer = squash(x, *args, **kwargs)
        if not isinstance(answer, keras.KerasTensor):
            _remember(answer, x)
        return answer

    keeping.keeps_logits = True  # type: ignore[attr-defined]
    return keeping


def _remember(answer: Any, logits: Any) -> None:
    try:
        answer.kattn_logits = logits
    except AttributeError:
        key = id(answer)
        _of_arrays[key] = (weakref.ref(answer, lambda _: _of_arrays.pop(key, None)), logits)
