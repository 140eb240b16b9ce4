"""The moving average of the weights in the model's place: while it is evaluated, and in the files of the run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from kattn.data.batches import Batches
from kattn.graph.inside import all_inside

STATISTICS_BATCHES = 32


class AveragedWeights(keras.callbacks.Callback):
    """Put the averaged weights into the model for each evaluation, with statistics of normalisation of their own.

    The moving mean and variance in the model are those of the weights that were trained, not of their average: early
    in training a network answers at random with them. So they are estimated anew from training batches.

    Args:
        batches: The training batches; up to 32 of the running epoch are used.
    """

    def __init__(self, batches: Batches) -> None:
        super().__init__()
        self.batches = batches
        self.estimated: tuple[int, list[np.ndarray]] | None = None  # number of updates, and the statistics then

    def on_test_begin(self, logs: Any = None) -> None:
        """Put the average in the model's place."""
        optimizer = updating(self.model)
        self.others = [keras.ops.convert_to_numpy(variable) for variable in self.model.non_trainable_variables]
        self.trained = [keras.ops.convert_to_numpy(variable) for variable in optimizer.averaged()]
        for variable, average in zip(optimizer.averaged(), optimizer.averages, strict=True):
            variable.assign(keras.ops.convert_to_numpy(average))
        layers = normalisations(self.model)
        if not layers:
            return
        updates = int(keras.ops.convert_to_numpy(optimizer.iterations))
        if self.estimated is None or self.estimated[0] != updates:
            self.estimated = (updates, self._estimate(layers))
        for variable, value in zip(self.model.non_trainable_variables, self.others, strict=True):
            variable.assign(value)  # whatever else a step of training moves, such as seeds
        for variable, value in zip(_statistics(layers), self.estimated[1], strict=True):
            variable.assign(value)

    def on_test_end(self, logs: Any = None) -> None:
        """Put the trained weights back."""
        for variable, value in zip(updating(self.model).averaged(), self.trained, strict=True):
            variable.assign(value)
        for variable, value in zip(self.model.non_trainable_variables, self.others, strict=True):
            variable.assign(value)

    def _estimate(self, layers: list[Any]) -> list[np.ndarray]:
        """Moving statistics of the model's weights as they are now, from the batches alone.

        After n batches a statistic is momentum^n of its start and the rest of the batches: the start is taken out.
        """
        start = [keras.ops.convert_to_numpy(variable) for variable in _statistics(layers)]
        forward = _training_pass(self.model)
        count = min(STATISTICS_BATCHES, len(self.batches))
        for number in range(count):
            forward(self.batches[number][0])
        left = [layer.momentum**count for layer in layers for _ in range(2)]
        end = [keras.ops.convert_to_numpy(variable) for variable in _statistics(layers)]
        return [(b - share * a) / (1 - share) for a, b, share in zip(start, end, left, strict=True)]


def updating(model: keras.Model) -> Any:
    """The model's optimizer; in float16 the one inside Keras's scaling of the loss."""
    return getattr(model.optimizer, "inner_optimizer", model.optimizer)


def normalisations(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    """The batch normalisations of a model that learn their statistics, those inside other layers too."""
    found = {id(one): one for one in all_inside(model) if isinstance(one, keras.layers.BatchNormalization)}
    return [layer for layer in found.values() if layer.trainable and layer.built]


def _statistics(layers: list[Any]) -> list[Any]:
    return [variable for layer in layers for variable in (layer.moving_mean, layer.moving_variance)]


def _training_pass(model: keras.Model) -> Callable[[Any], Any]:
    """A forward pass as in training, without a gradient."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        return tf.function(lambda x: model(x, training=True), reduce_retracing=True)
    if backend == "torch":
        import torch

        return torch.no_grad()(lambda x: model(x, training=True))
    return lambda x: model(x, training=True)
