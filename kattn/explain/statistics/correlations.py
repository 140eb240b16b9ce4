"""How alike the channels of a layer respond: C3's channel correlations, of a network and while it trains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from kattn.explain.statistics.selectivity import map_calls
from kattn.explain.statistics.stream import stream
from kattn.graph.compiled import compiled
from kattn.graph.opened import Graph


def channel_correlations(
    model: keras.Model,
    data: Any,
    *,
    layers: Sequence[str] | str | None = None,
    split: str = "test",
    batch_size: int = 128,
    limit: int | None = None,
    **stated: Any,
) -> dict[str, np.ndarray]:
    """The correlation of every two channels of feature maps, over all positions of all images of a dataset.

    The data are read once, batch by batch; channels x channels numbers a layer are kept.

    Args:
        model: A functional or Sequential model of one input.
        data, split, batch_size, limit, stated: See `kattn.explain.statistics.stream`.
        layers: Names of layers that give feature maps. None: all that end in a ReLU, and the AFI modules.

    Returns: by layer, in order, float64 (channels, channels) in -1 to 1; 0 where a channel is constant, and 1 on the
        diagonal elsewhere.
    Raises: ValueError for an unknown layer (with the closest), and images that do not fit.
    Paper: Yang et al. Cross-channel Communication Networks. NeurIPS 2019.
    """
    batches = stream(data, model, split=split, batch_size=batch_size, limit=limit, **stated)
    graph = Graph(model, image_shape=batches.image_shape)
    calls = map_calls(graph, layers)
    network = graph.model({call.name: _products(call.outputs) for call in calls})
    totals: dict[str, np.ndarray] = {}
    run = compiled(network)
    for images, _ in batches:
        for name, products in run(images).items():
            totals[name] = totals.get(name, 0.0) + products.astype("float64")
    return {name: _correlation(total) for name, total in totals.items()}


def mean_correlation(correlations: Any) -> float:
    """The mean of |correlation| over all pairs of different channels, 0-1: how redundant the channels are.

    Returns: A number in 0-1.
    """
    matrix = np.abs(np.asarray(correlations))
    count = len(matrix)
    return float((matrix.sum() - np.trace(matrix)) / (count * (count - 1))) if count > 1 else 0.0


class ChannelCorrelationLog(keras.callbacks.Callback):
    """Keeps the channel correlations of a network at stages of its training.

    Args:
        data: Images, as `channel_correlations` takes them.
        layers: As there.
        epochs: Numbers of the epochs, from 1, after which they are kept; 0 is before training. None: all of these.
        options: Further options of `channel_correlations`.

    Attributes:
        stages: By epoch, by layer, the correlations.
    """

    def __init__(
        self,
        data: Any,
        *,
        layers: Sequence[str] | str | None = None,
        epochs: Sequence[int] | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        self.data = data
        self.layers = layers
        self.epochs = None if epochs is None else set(epochs)
        self.options = options
        self.stages: dict[int, dict[str, np.ndarray]] = {}

    def on_train_begin(self, logs: Any = None) -> None:
        """The untrained network."""
        self._keep(0)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """The network after an epoch."""
        self._keep(epoch + 1)

    def _keep(self, epoch: int) -> None:
        if self.epochs is None or epoch in self.epochs:
            self.stages[epoch] = channel_correlations(self.model, self.data, layers=self.layers, **self.options)


def _products(maps: Any) -> Any:
    """Sums over batch and positions of x x^T, of x, and of 1: one matrix (channels + 1, channels + 1)."""
    rows = ops.reshape(ops.cast(maps, "float32"), (-1, maps.shape[-1]))
    rows = ops.concatenate([rows, ops.ones_like(rows[:, :1])], axis=-1)
    return ops.matmul(ops.transpose(rows), rows)


def _correlation(products: np.ndarray) -> np.ndarray:
    mean = products[:-1, -1] / products[-1, -1]
    covariance = products[:-1, :-1] / products[-1, -1] - np.outer(mean, mean)
    variance = np.diag(covariance)
    # A variance that float32 sums cannot tell from zero counts as zero: the channel is constant.
    alive = variance > 1e-6 * np.maximum(np.diag(products)[:-1] / products[-1, -1], 1e-12)
    scale = np.where(alive, 1 / np.sqrt(np.where(alive, variance, 1)), 0)
    return np.clip(covariance * np.outer(scale, scale), -1, 1)
