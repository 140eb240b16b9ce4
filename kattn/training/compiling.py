"""`kattn.compile_for`: Keras's `compile`, with a cross-entropy that is computed from logits."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from kattn.facts.description import CLASSES
from kattn.facts.kinds import describe_outputs
from kattn.graph.inputs import require_functional
from kattn.graph.logits import SQUASHING, keep_logits, logits_of
from kattn.graph.outputs import MAIN_OUTPUT, class_outputs

log = logging.getLogger("kattn")

LOGITS, AS_GIVEN = "logits", "as given"  # what an output is taken as, besides kattn.graph.logits.SQUASHING


def compile_for(
    model: Any,
    *,
    optimizer: Any = "rmsprop",
    loss: Any = None,
    metrics: Sequence[Any] = ("accuracy",),
    from_logits: bool | None = None,
    **options: Any,
) -> None:
    """Compile a classifier so that it trains on its logits and still answers with probabilities.

    >>> kattn.compile_for(model, optimizer="adam")
    >>> model.fit(images, kattn.targets_for(model)(labels))

    Every classification output gets the loss and the metrics, such as both outputs of an attention branch network. The
    loss is computed from what the last softmax or sigmoid took, whether it is a layer of its own, as in the zoo, or the
    `activation=` of a dense layer: on JAX and torch, Keras's cross-entropy of probabilities has no gradient beyond a
    gap of 16 between two logits. `predict` and `evaluate` see probabilities, and so do the metrics. What `save` writes
    is what Keras's own `compile` with this loss would have written: call `compile_for` again on a model that was loaded
    and is trained further.

    Args:
        model: Functional, or Sequential and built; of one output, or a dict of outputs.
        optimizer: As for Keras's compile.
        loss: As for Keras's compile, one for all classification outputs, or a mapping. A cross-entropy, or a function
            that has an argument `from_logits`, is computed from logits; any other loss from what the model gives. None:
            of outputs that end in a sigmoid binary cross-entropy, else cross-entropy of class numbers.
        metrics: As for Keras's compile, for every classification output. "accuracy" counts yes or no where the loss is
            binary.
        from_logits: Whether outputs that do not end in softmax or sigmoid give logits. None: those of Keras's own last
            layers do; of others the log says how they are taken.
        options: Further arguments of Keras's compile.

    Raises: ValueError for a model whose graph cannot be read or that has no classification output.
    """
    require_functional(model, "compile_for")
    classified = class_outputs(model)
    names = classified or [MAIN_OUTPUT]
    endings = keep_logits(model, names)
    plain: dict[str, Any] = {}
    used: dict[str, Any] = {}
    counted: dict[str, Any] = {}
    for name in names:
        wanted = loss.get(name) if isinstance(loss, Mapping) else loss
        if wanted is None:
            wanted = f"{'binary' if endings[name] == 'sigmoid' else 'sparse_categorical'}_crossentropy"
        if endings[name] not in SQUASHING:
            endings[name] = _taken(model, name, endings[name], from_logits) if _takes_logits(wanted) else AS_GIVEN
        plain[name] = _copy(wanted)
        used[name] = _on_logits(plain[name], endings[name])
        if used[name] is None:  # a loss of what the model gives
            used[name], endings[name] = plain[name], AS_GIVEN
        accuracy: Any = "accuracy"
        if "binary" in _name(wanted):
            threshold = 0.0 if endings[name] == LOGITS else 0.5
            accuracy = keras.metrics.BinaryAccuracy("accuracy", threshold=threshold)
        counted[name] = [accuracy if metric == "accuracy" else _copy(metric) for metric in metrics]

    def compiled(per_output: dict[str, Any]) -> Any:
        return per_output if classified else per_output[MAIN_OUTPUT]

    model.compile(optimizer, loss=compiled(used), metrics=compiled(counted), **options)
    _compute_on_logits(model, endings, compiled(plain))


def _compute_on_logits(model: Any, endings: Mapping[str, str], plain: Any) -> None:
    """Hand logits to the losses that `model.compile` has just been given, and write the plain ones in files.

    `compute_loss` and `get_compile_config` are what Keras has for this; another `compile` takes both back.
    """
    losses, compute, config = model.loss, model.compute_loss, model.get_compile_config
    compute, config = getattr(compute, "plain", compute), getattr(config, "plain", config)

    def compute_loss(x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, **rest: Any) -> Any:
        if model.loss is losses:
            if isinstance(y_pred, Mapping):
                y_pred = {name: logits_of(one, endings.get(name, "")) for name, one in y_pred.items()}
            else:
                y_pred = logits_of(y_pred, endings.get(MAIN_OUTPUT, ""))
        return compute(x, y, y_pred, sample_weight, **rest)

    def get_compile_config() -> Any:
        written = config()
        if model.loss is losses and written:
            written = {**written, "loss": keras.saving.serialize_keras_object(plain)}
        return written

    compute_loss.plain, get_compile_config.plain = compute, config  # type: ignore[attr-defined]
    model.compute_loss, model.get_compile_config = compute_loss, get_compile_config


def _on_logits(loss: Any, ending: str) -> Any:
    """The loss as it is computed from logits; None for one that takes what the model gives."""
    if ending == AS_GIVEN or not _takes_logits(loss):
        return None
    if ending in SQUASHING and ("binary" in _name(loss)) != (ending == "sigmoid"):
        return None  # such as binary cross-entropy of a softmax
    given = keras.losses.get(loss)
    if isinstance(given, keras.losses.Loss):
        return type(given).from_config({**given.get_config(), "from_logits": True})
    return functools.wraps(given)(functools.partial(given, from_logits=True))


def _takes_logits(loss: Any) -> bool:
    given = keras.losses.get(loss)
    known = given.get_config() if isinstance(given, keras.losses.Loss) else inspect.signature(given).parameters
    return "from_logits" in known


def _taken(model: Any, name: str, ending: str, from_logits: bool | None) -> str:
    """How an output is taken whose last layer is neither softmax nor sigmoid: as logits or as what it gives."""
    if from_logits is not None:
        return LOGITS if from_logits else AS_GIVEN
    if ending in ("log_softmax", "LogSoftmax"):
        return LOGITS  # the softmax of logarithms of probabilities are these
    output = describe_outputs(model)[name]
    if output.activated:
        return "softmax" if output.kind.value == CLASSES else AS_GIVEN
    if not hasattr(keras.activations, ending) and not hasattr(keras.layers, ending) and not hasattr(keras.ops, ending):
        log.warning("Output %r of %s is taken as logits; from_logits=False takes it as probabilities", name, model.name)
    return LOGITS


def _name(loss: Any) -> str:
    given = keras.losses.get(loss)
    return str(getattr(given, "name", None) or getattr(given, "__name__", ""))


def _copy(given: Any) -> Any:
    """A loss or metric for one more output: objects are copied, because they hold what they have counted."""
    if isinstance(given, keras.metrics.Metric | keras.losses.Loss):
        return type(given).from_config(given.get_config())
    return given
