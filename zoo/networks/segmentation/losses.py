"""Losses of the segmentation networks: one for each output, and its weight."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from kattn.layers.pieces.semantic_encoding_loss import SemanticEncodingLoss

AUXILIARY_WEIGHT, ENCODING_AUXILIARY_WEIGHT, PRESENCE_WEIGHT = 0.4, 0.2, 0.2


def segmentation_losses(
    model: keras.Model,
    *,
    ignore_class: int | None = 255,
    auxiliary_weight: float | None = None,
    presence_weight: float = PRESENCE_WEIGHT,
) -> dict[str, Any]:
    """The authors' losses and their weights, as keyword arguments of `model.compile`.

        model.compile("sgd", **kattn.zoo.segmentation_losses(model))
        model.fit(images, dict.fromkeys(model.output, labels))         # or labels alone for a model of one output

    Cross-entropy over the pixels for every prediction; SemanticEncodingLoss for EncNet's "presence_logits".

    Args:
        model: Of `psa`, `encoding`, `object_context`, `dual_attention` or `criss_cross`.
        ignore_class: Label of pixels that do not count; None: all count.
        auxiliary_weight: Of "auxiliary_predictions". None: 0.4, and 0.2 beside presence logits (EncNet), as in the
            releases. DANet's three outputs count alike.
        presence_weight: Of the presence logits' loss.

    Labels are (batch, height, width) integers. On the torch backend build the network with classifier_activation=None:
    the cross-entropy of Keras 3.15 cannot be differentiated there on maps of probabilities.

    Returns: {"loss": ...} for a model of one output, else {"loss": {output: loss}, "loss_weights": {output: weight}}.
    Raises: ValueError for predictions that are neither logits nor probabilities.
    """

    def pixel_loss(output: str) -> keras.losses.Loss:
        activation = model.get_layer(output).activation
        if activation not in (keras.activations.softmax, keras.activations.linear):
            raise ValueError(
                f"{model.name}: there is no loss here for {output} with the activation {activation.__name__}; build "
                'the network with classifier_activation="softmax" or None.'
            )
        logits = activation is keras.activations.linear
        return keras.losses.SparseCategoricalCrossentropy(from_logits=logits, ignore_class=ignore_class, name=output)

    if not isinstance(model.output, Mapping):
        return {"loss": pixel_loss("predictions")}
    names = list(model.output)
    if auxiliary_weight is None:
        auxiliary_weight = ENCODING_AUXILIARY_WEIGHT if "presence_logits" in names else AUXILIARY_WEIGHT
    weights = {"auxiliary_predictions": auxiliary_weight, "presence_logits": presence_weight}
    return {
        "loss": {one: SemanticEncodingLoss() if one == "presence_logits" else pixel_loss(one) for one in names},
        "loss_weights": {one: weights.get(one, 1.0) for one in names},
    }
