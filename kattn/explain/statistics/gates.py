"""The gates for the images of each class: the SE paper's recalibration figure, in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from kattn.explain.attending.attention_graph import AttentionGraph
from kattn.explain.statistics.class_means import ClassMeans
from kattn.explain.statistics.stream import outputs_over, stream
from kattn.graph.outputs import class_count

KINDS = ("channel_gate", "gate", "weights")


@dataclass(frozen=True)
class GateStatistics:
    """Gate activations by layer and class.

    Attributes:
        means: By layer, (classes, channels), for AFI and SK (classes, maps, channels); NaN for a class without images.
        deviations: Standard deviations within the class, in the same shapes.
        counts: Number of images of each class.
        class_names: In the order of the rows.
    """

    means: dict[str, np.ndarray]
    deviations: dict[str, np.ndarray]
    counts: np.ndarray
    class_names: tuple[str, ...]

    def overall(self, layer: str) -> np.ndarray:
        """The mean of a layer's gate over all images."""
        means = np.nan_to_num(self.means[layer])
        return np.tensordot(self.counts / self.counts.sum(), means, axes=1)


def gate_statistics(
    model: keras.Model,
    data: Any,
    *,
    layers: Sequence[str] | str | None = None,
    split: str = "test",
    batch_size: int = 128,
    limit: int | None = None,
    **stated: Any,
) -> GateStatistics:
    """Mean and deviation of every gate, by class, over a dataset.

    Gates of channels (SE, ECA, CBAM, GE) are taken as they are, gates of positions and channels (BAM, residual
    attention) as their mean over the positions, and weights of maps against each other (AFI, SK, ResNeSt) one by one.
    The data are read once, batch by batch; two numbers a class and gate are kept.

    Args:
        model: A functional or Sequential classifier of one input and known size.
        data, split, batch_size, limit, stated: See `kattn.explain.statistics.stream`.
        layers: Names of attention layers. None: all that have such gates.

    Returns: Means and deviations by layer and class.
    Raises: ValueError for a model without gates of channels, an unknown layer, and images that do not fit.
    Paper: the figure is that of section 6.4 in Hu et al. Squeeze-and-Excitation Networks. arXiv:1709.01507
    """
    batches = stream(data, model, split=split, batch_size=batch_size, limit=limit, **stated)
    graph = AttentionGraph(model, image_shape=batches.image_shape)
    chosen = graph.sites if layers is None else graph.chosen(layers)
    sites = [site for site in chosen if graph.kinds[site.name].name in KINDS]
    if not sites:
        found = (
            ", ".join(f"{site.name} ({graph.kinds[site.name].what})" for site in chosen[:5]) or "no attention layers"
        )
        raise ValueError(f"{graph.name!r} has no gates of channels; it has {found}.")
    shapes = {site.name: site.shape if len(site.shape) == 2 else (site.shape[-1],) for site in sites}
    network = graph.model({site.name: _vector(site.tensor) for site in sites})
    means = ClassMeans(class_count(graph.model(graph.output)))
    for values, _, labels in outputs_over(network, batches):
        means.add(values, labels)
    names = batches.class_names or tuple(str(number) for number in range(len(means.counts)))
    return GateStatistics(
        {name: means.means(name).reshape(-1, *shape) for name, shape in shapes.items()},
        {name: means.deviations(name).reshape(-1, *shape) for name, shape in shapes.items()},
        means.counts,
        tuple(names) + tuple(str(number) for number in range(len(names), len(means.counts))),
    )


def _vector(gate: Any) -> Any:
    """Without the positions."""
    gate = ops.cast(gate, "float32")
    return ops.mean(gate, axis=(1, 2)) if len(gate.shape) == 4 else gate
