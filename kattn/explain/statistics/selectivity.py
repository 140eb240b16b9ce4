"""Class selectivity: does a channel respond to one class, or to all alike?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from kattn.explain.statistics.class_means import ClassMeans
from kattn.explain.statistics.stream import outputs_over, stream
from kattn.graph.calls import Call, is_map
from kattn.graph.opened import Graph
from kattn.graph.outputs import class_count


def class_selectivity(
    model: keras.Model,
    data: Any,
    *,
    layers: Sequence[str] | str | None = None,
    split: str = "test",
    batch_size: int = 128,
    limit: int | None = None,
    **stated: Any,
) -> dict[str, np.ndarray]:
    """The class selectivity index of every channel of feature maps, over a dataset.

    mu_k = mean over the images of class k, and over positions, of the channel's activity relu(A)
    index = (mu_max - mu_rest) / (mu_max + mu_rest), mu_rest the mean of the other classes' mu_k

    0 is a channel that responds to all classes alike, 1 one that responds to a single class. A channel that never
    responds has 0. The data are read once, batch by batch; one number a class and channel is kept.

    Args:
        model: A functional or Sequential classifier of one input.
        data, split, batch_size, limit, stated: See `kattn.explain.statistics.stream`.
        layers: Names of layers that give feature maps. None: all that end in a ReLU, and the AFI modules; in a model
            without such layers all that give feature maps.

    Returns: by layer, in order, float64 (channels,) in 0-1.
    Raises: ValueError for an unknown layer (with the closest), data of one class only, and images that do not fit.
    Paper: Morcos et al. On the importance of single directions for generalization. ICLR 2018. arXiv:1803.06959; used
        in section 4.2 of Pan et al. AFINet. 2021.
    """
    batches = stream(data, model, split=split, batch_size=batch_size, limit=limit, **stated)
    graph = Graph(model, image_shape=batches.image_shape)
    calls = map_calls(graph, layers)
    network = graph.model({call.name: _activity(call.outputs) for call in calls})
    means = ClassMeans(class_count(graph.model(graph.output)))
    for values, _, labels in outputs_over(network, batches):
        means.add(values, labels)
    return {call.name: selectivity_index(means.means(call.name)) for call in calls}


def selectivity_index(means: Any) -> np.ndarray:
    """The index of each channel from its class means (classes, channels), which are not negative; NaN rows are classes
    without images.

    Returns: Float64 (channels,), 0-1.
    Raises: ValueError for fewer than two classes with images, or negative means.
    """
    means = np.asarray(means, "float64")
    means = means[~np.isnan(means).all(axis=1)]
    if len(means) < 2:
        raise ValueError(f"class selectivity compares classes; images of {len(means)} were given.")
    if means.min() < 0:
        raise ValueError(f"class means of activity must not be negative. Received: {means.min():g}")
    highest = means.max(axis=0)
    rest = (means.sum(axis=0) - highest) / (len(means) - 1)
    total = highest + rest
    return np.where(total > 0, (highest - rest) / np.where(total > 0, total, 1), 0.0)


def map_calls(graph: Graph, layers: Sequence[str] | str | None) -> list[Call]:
    """The named calls that give feature maps; by default the activated ones, else all.

    Raises: ValueError for an unknown layer, one that gives no feature map, or a model without any.
    """
    maps = graph.maps()
    if layers is not None:
        return [graph.find(name, maps, "feature map") for name in ([layers] if isinstance(layers, str) else layers)]
    if not maps:
        raise ValueError(f"model {graph.name!r} has no layer that gives a feature map.")
    return [call for call in maps if _is_activated(call)] or maps


def _is_activated(call: Call) -> bool:
    """Whether a layer is a ReLU or ends in one, or joins such maps (AFI): its maps are then not negative."""
    several = isinstance(call.args[0], (list, tuple)) and hasattr(call.layer, "return_attention")
    named = getattr(getattr(call.layer, "activation", None), "__name__", "").startswith("relu")
    return is_map(call.outputs) and (several or named or isinstance(call.layer, keras.layers.ReLU))


def _activity(maps: Any) -> Any:
    return ops.mean(ops.relu(ops.cast(maps, "float32")), axis=(1, 2))
