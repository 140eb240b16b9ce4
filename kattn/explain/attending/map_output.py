"""A model with its attention map as a second output, to save, serve and export."""

from __future__ import annotations

import keras
from keras import ops

from kattn.explain.attending.attention_graph import AttentionGraph
from kattn.explain.attending.maps import map_of

MAP_OUTPUT = "attention_map"


def with_attention(model: keras.Model, *, layer: str | None = None, output: str | int | None = None) -> keras.Model:
    """The model with an attention map as its second output, ready for `kattn.export` in all its formats.

    Args:
        model: A functional or Sequential model of one input of known size.
        layer: Name of the layer whose map it is. None: that of the last attention over positions.
        output: Name or index of the prediction. None: "predictions", else the first.

    Returns: A model from "image" to {"predictions", "attention_map"}; the map is (batch, height, width, 1), at the
        layer's own size; where positions attend to positions it is the mean over all positions. The new model shares
        its layers with the model, except attention layers that must return their attention: these are copied.
        `kattn.export.onnx(m, path, outputs="all")` writes both outputs.
    Raises: ValueError for a model without attention over positions, an unknown layer, or a model that leaves its image
        size open.
    """
    shape = getattr(model, "input_shape", None)
    if isinstance(shape, tuple) and None in shape[1:]:
        raise ValueError(
            f"{model.name!r} leaves its image size open: {shape[1:]}. Build it with an input_shape to add a map."
        )
    graph = AttentionGraph(model, output=output)
    site = graph.chosen(layer, positions=True)[-1]
    heat = ops.expand_dims(map_of(graph, site, site.tensor), -1)
    return graph.model({graph.output_name: graph.output, MAP_OUTPUT: heat})
