"""What the prediction becomes when the attention map is edited: ABN's own experiment."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from kattn.explain.attending.attention_graph import AttentionGraph
from kattn.explain.images import checked_images, in_batches

MAP_INPUT = "attention_map"


def editable(model: keras.Model, *, output: str | int | None = None) -> keras.Model:
    """An attention branch network that takes its attention map as a second input.

    Args:
        model: A functional model with an attention branch (`AttentionBranch`, or another layer whose class attribute
            `attention_output` says which of its outputs is the map).
        output: Name or index of the output. None: "predictions", else the first.

    Returns: A model from {"image", "attention_map"} to the output. It shares its layers with the model.
    Raises: ValueError for a model without such a branch.
    """
    graph, site = _branch(model, output)
    inputs = {
        "image": keras.Input(graph.image.shape[1:], dtype=graph.image.dtype, name="image"),
        MAP_INPUT: keras.Input(site.shape, dtype=site.tensor.dtype, name=MAP_INPUT),
    }
    answer = keras.Model([graph.image, site.tensor], graph.output).call(list(inputs.values()))
    return keras.Model(inputs, answer, name=graph.name)


def edit(
    model: keras.Model,
    images: Any,
    *,
    attention_map: Any = None,
    output: str | int | None = None,
    batch_size: int = 32,
    **stated: Any,
) -> np.ndarray:
    """The output of an attention branch network that is given this attention map instead of its own.

    Args:
        model, output: As in `editable`.
        images: (images, height, width, channels), as the model takes them.
        attention_map: (images, height, width) or with a last axis of 1, 0-1 as the branch's sigmoid; one map (height,
            width) is used for all images. Another size than the branch's is resized bilinearly, so that a map can be
            painted on the image. None: the network's own map.
        batch_size: Images at a time.
        stated: What is known of the model's input: value_range, preprocess; see `kattn.facts.stated.Stated`.

    Returns: the output, float32 (images, classes).
    Raises: ValueError for a model without an attention branch, images that do not fit, another number of maps than
        images, and values of maps that are not finite or outside 0-1.
    """
    images = checked_images(model, images, stated)
    graph, site = _branch(model, output, images.shape[1:])
    if attention_map is None:
        own = graph.model(graph.output)
        answers = [own(batch, training=False) for batch, _ in in_batches(images, batch_size)]
    else:
        maps = _checked_map(attention_map, len(images), site.size)
        network = keras.Model([graph.image, site.tensor], graph.output)
        answers = [
            network(
                [ops.convert_to_tensor(batch), ops.convert_to_tensor(maps[start : start + len(batch)])], training=False
            )
            for batch, start in in_batches(images, batch_size)
        ]
    return np.concatenate([ops.convert_to_numpy(answer) for answer in answers]).astype("float32")


def _branch(model: keras.Model, output: str | int | None, shape: Any = None) -> tuple[AttentionGraph, Any]:
    graph = AttentionGraph(model, output=output, image_shape=shape)
    sites = [site for site in graph.sites if hasattr(site.layer, "attention_output")]
    if not sites:
        raise ValueError(
            f"{graph.name!r} has no attention branch whose map could be edited: take an abn_* model of the zoo."
        )
    return graph, sites[-1]


def _checked_map(attention_map: Any, count: int, size: tuple[int, int]) -> np.ndarray:
    """Maps (images, height, width, 1) of the branch's size."""
    maps = np.asarray(attention_map, "float32")
    maps = maps[None] if maps.ndim == 2 else maps
    maps = maps[..., None] if maps.ndim == 3 else maps
    if maps.ndim != 4 or maps.shape[-1] != 1 or len(maps) not in (1, count):
        raise ValueError(
            f"attention_map must be (height, width), or (images, height, width) for {count} images. "
            f"Received: shape {np.shape(attention_map)}"
        )
    if not np.isfinite(maps).all() or maps.min() < 0 or maps.max() > 1:
        raise ValueError(
            f"attention_map must lie in 0-1, as the branch's own. Received: {maps.min():g} to {maps.max():g}"
        )
    maps = np.broadcast_to(maps, (count, *maps.shape[1:]))
    if maps.shape[1:3] != size:
        resized = ops.image.resize(maps, size, interpolation="bilinear", antialias=True, data_format="channels_last")
        maps = np.clip(ops.convert_to_numpy(resized), 0, 1)
    return np.asarray(maps)
