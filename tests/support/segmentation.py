"""Small segmentation networks, for the tests of what they do and of how they export."""

from __future__ import annotations

import keras
import numpy as np

from kattn.zoo import criss_cross, dual_attention, encoding, object_context, psa
from kattn.zoo.grammar.convolutions import conv_bn

SIZE = 33  # 8 n + 1, as the authors' crops


def small(widths=(4, 4, 8, 16), shape=(SIZE, SIZE, 3)):
    """A network of one convolution a level, C2 to C5."""
    x = image = keras.Input(shape, name="image")
    x = conv_bn(x, 4, 3, 2, name="stem")
    for level, width in enumerate(widths, start=2):
        x = conv_bn(x, width, 3, 2, name=f"conv{level}")
        x = keras.layers.Identity(name=f"C{level}")(x)
    return keras.Model(image, x, name="small")


AUXILIARY = {"predictions", "auxiliary_predictions"}
HEADS = {  # builder, options of a small one, outputs
    "psa": (psa, {"channels": 8}, AUXILIARY),
    "encoding": (encoding, {"channels": 8, "codes": 4}, AUXILIARY | {"presence_logits"}),
    "object_context": (object_context, {"channels": 8}, AUXILIARY),
    "dual_attention": (
        dual_attention,
        {"channels": 8},
        {"predictions", "position_predictions", "channel_predictions"},
    ),
    "criss_cross": (criss_cross, {"channels": 8}, AUXILIARY),
}


def network(head, backbone=None, **options):
    build, own, _ = HEADS[head]
    return build(backbone=small() if backbone is None else backbone, classes=5, **{**own, **options})


def labels(seed=0):
    """Of two images, some of them to be ignored."""
    drawn = np.random.default_rng(seed).integers(0, 6, (2, SIZE, SIZE))
    return np.where(drawn == 5, 255, drawn)
