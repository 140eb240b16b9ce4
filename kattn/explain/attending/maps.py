"""Where the attention layers of a network look: maps at the images' size, and the values themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from kattn.explain.attending.attention_graph import AttentionGraph
from kattn.explain.attending.site import Query, Site
from kattn.explain.images import checked_images, full_size, in_batches


@dataclass(frozen=True)
class Values:
    """The attention of one layer for some images.

    Attributes:
        kind: "channel_gate", "map", "gate", "cross", "weights", "affinity", "channels", "theta" or "values".
        what: The kind in words.
        values: As the layer gives it, (images, ...), float32.
    """

    kind: str
    what: str
    values: np.ndarray

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.values, dtype) if copy else np.asarray(self.values, dtype)


def attention(
    model: keras.Model,
    images: Any,
    *,
    layers: Sequence[str] | str | None = None,
    query: tuple[float, float] | None = None,
    batch_size: int = 32,
    **stated: Any,
) -> dict[str, np.ndarray]:
    """Where the attention layers of a model look, at the images' size.

    The map of a gate of positions (CBAM, ABN, GC) is its values, 0-1 for sigmoids; of a gate of positions and channels
    (BAM, residual attention) the mean over the channels. Where positions attend to positions (non-local blocks, DANet,
    CCNet, SAGAN) the map is the weights of the query's position; a second recurrence of CCNet includes the first. The
    map of a spatial transformer is 1 where it reads the image.

    Args:
        model: A functional or Sequential model of one input; models nested in it are opened.
        images: (images, height, width, channels), as the model takes them.
        layers: Names of the layers. None: all that have attention over positions.
        query: Row and column of the pixel whose weights are shown. None: the mean over all positions.
        batch_size: Images at a time.

    Returns: by layer, in order, float32 (images, height, width), bilinearly enlarged and not rescaled. A layer with
        several attentions gives "name", "name:2" and so on.
    Raises: ValueError for a model without attention over positions (`attention_values` gives gates of channels), an
        unknown layer (with the closest), a query outside the image, or images that do not fit.
    """
    images = checked_images(model, images, stated)
    at = _share(query, images.shape[1:3])
    graph = AttentionGraph(model, image_shape=images.shape[1:])
    sites = graph.chosen(layers, positions=True)
    needed = {one.name: one for site in sites for one in (*_earlier(site, graph), site)}
    network = graph.model({name: site.tensor for name, site in needed.items()})
    maps: dict[str, list[np.ndarray]] = {site.name: [] for site in sites}
    for batch, _ in in_batches(images, batch_size):
        values = {name: ops.cast(v, "float32") for name, v in network(batch, training=False).items()}
        for site in sites:
            earlier = [values[one.name] for one in _earlier(site, graph)]
            maps[site.name].append(full_size(map_of(graph, site, values[site.name], at, earlier), images.shape))
    return {name: np.concatenate(batches).astype("float32") for name, batches in maps.items()}


def attention_values(
    model: keras.Model,
    images: Any,
    *,
    layers: Sequence[str] | str | None = None,
    batch_size: int = 32,
    **stated: Any,
) -> dict[str, Values]:
    """The attention of every layer that has some, as the layer gives it.

    AFI's weights are (images, earlier maps, channels), gates of channels (images, 1, 1, channels), affinities (images,
    positions, positions). Affinities of large maps take much memory: name the layers.

    Args:
        model, images, layers, batch_size, stated: As in `attention`; here None means layers of every kind.

    Returns: by layer, in order, `Values`.
    Raises: ValueError for a model without attention layers, and as `attention`.
    """
    images = checked_images(model, images, stated)
    graph = AttentionGraph(model, image_shape=images.shape[1:])
    sites = graph.chosen(layers)
    network = graph.model({site.name: site.tensor for site in sites})
    batches = [network(batch, training=False) for batch, _ in in_batches(images, batch_size)]
    return {
        site.name: Values(
            graph.kinds[site.name].name,
            graph.kinds[site.name].what,
            np.concatenate([ops.convert_to_numpy(batch[site.name]) for batch in batches]).astype("float32"),
        )
        for site in sites
    }


def last_of_each_size(model: keras.Model, image_shape: Sequence[int]) -> list[str]:
    """Names of the attentions over positions that come last among those on maps of one size: one a level.

    Raises: ValueError for a model without attention over positions.
    """
    sites = AttentionGraph(model, image_shape=image_shape).chosen(None, positions=True)
    return list({site.size: site.name for site in sites}.values())


def map_of(graph: AttentionGraph, site: Site, values: Any, query: Query = None, earlier: Sequence[Any] = ()) -> Any:
    """The values at a site as a map (batch, height, width)."""
    to_map = graph.kinds[site.name].to_map
    assert to_map is not None  # `chosen(positions=True)` gives no others
    return to_map(values, site, query, earlier)


def _earlier(site: Site, graph: AttentionGraph) -> list[Site]:
    """The attentions of the same call and kind in front of this one."""
    call, kind = site.name.split(":")[0], graph.kinds[site.name]
    same = [one for one in graph.sites if one.name.split(":")[0] == call and graph.kinds[one.name] is kind]
    return [one for one in same if one.number < site.number]


def _share(query: tuple[float, float] | None, size: Sequence[int]) -> Query:
    """The middle of a pixel as shares of height and width."""
    if query is None:
        return None
    row, column = query
    if not (0 <= row < size[0] and 0 <= column < size[1]):
        raise ValueError(
            f"query must be a row of 0 to {size[0] - 1} and a column of 0 to {size[1] - 1}. Received: {query}"
        )
    return (int(row) + 0.5) / size[0], (int(column) + 0.5) / size[1]
