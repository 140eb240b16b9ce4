"""`freeze=`: the first stages of a network keep their weights."""

from __future__ import annotations

import keras


def freeze(model: keras.Model, last: int, stages: int) -> None:
    """Make everything up to the end of a stage untrainable.

    A frozen batch normalisation uses its stored statistics also in training and does not change them, as Keras does
    with every layer that is not trainable.

    Args:
        model: Of the zoo.
        last: The last stage to freeze, counted from 1; 0 is the stem.
        stages: How many the network has.

    Raises: ValueError for a stage that does not exist.
    """
    if isinstance(last, bool) or not isinstance(last, int) or not 0 <= last <= stages:
        raise ValueError(f"freeze must be a stage, 1 to {stages}, or 0 for the stem. Received: freeze={last!r}")
    names = [layer.name for layer in model.layers]
    if last:
        end = model.get_layer(next(name for name in reversed(names) if name.startswith(f"stage{last}_"))).output
    else:
        first = next(layer for layer in model.layers if layer.name.startswith("stage1_"))
        end = first.input
    # Only the layers that lead to the end of the stage: neither ABN's branch nor anything behind it.
    for layer in keras.Model(model.inputs, end).layers:
        layer.trainable = False


def unfreeze_all_but(model: keras.Model, kept: keras.Model) -> None:
    """Make the layers trainable that another model does not have: new gates in frozen stages."""
    names = {layer.name for layer in kept.layers}
    for layer in model.layers:
        if layer.name not in names:
            layer.trainable = True
