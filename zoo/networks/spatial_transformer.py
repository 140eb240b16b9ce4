"""A spatial transformer in front of a network: it turns, scales and shifts the image first."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from kattn.layers.spatial_transformer import IDENTITY, SpatialTransformerSampler
from kattn.zoo.inputs import check_order, check_shape, normalise
from kattn.zoo.tables import builder, rows
from kattn.zoo.weights.loading import load_weights


def spatial_transformer(
    *,
    backbone: str = "resnet18",
    size: int | tuple[int, int] | None = None,
    filters: Sequence[int] = (20, 20),
    hidden: int = 20,
    align_corners: bool = False,
    return_transform: bool = False,
    input_shape: tuple[int, int, int] | None = None,
    classes: int | None = None,
    classifier_activation: str | None = "softmax",
    include_preprocessing: bool = True,
    weights: str | os.PathLike[str] | None = None,
    name: str | None = None,
    **options: Any,
) -> keras.Model:
    """A zoo model behind a spatial transformer. The labels alone train both.

    image -> localisation network -> theta;   image sampled where theta points -> backbone -> predictions

    The localisation network: for each of `filters` a 2x2 max-pooling, a 5x5 convolution and ReLU; a dense layer of
    `hidden`, ReLU; a dense layer to the six entries of theta. The last starts with weight 0 and the identity as bias,
    so that the network starts as its backbone. The paper's localisation networks differ from task to task and are
    trained at a lower rate than the classifier. Their layers are named "localise_*" here.

    Args:
        backbone: Name of a zoo model, with or without an attention.
        size: (height, width) of the backbone's image, or one number for both; None: the image's. With a smaller size
            the network learns to look at a part of a large image; at first it sees all of it, scaled down.
        filters: Of the localisation network's convolutions.
        hidden: Width of its dense layer.
        align_corners: See SpatialTransformerSampler.
        return_transform: Give {"predictions", ..., "transform"}; "transform" is theta, (batch, 6), row by row.
        input_shape: (height, width, channels), all known: the localisation network has weights for each position.
            Default: the backbone's.
        classes, classifier_activation: As of every zoo model.
        include_preprocessing: True takes RGB pixels 0-255 and normalises them first, so that points outside the image
            have the mean colour.
        weights: None (random) or a path (.weights.h5, .keras).
        name: Of the model.
        options: Of the backbone and its attention.

    Returns: A functional model, (batch, height, width, channels) to (batch, classes), or a dict with such and theta.
    Raises: ValueError for an open input size; whatever the backbone raises.
    Paper: Jaderberg, Simonyan, Zisserman, Kavukcuoglu. Spatial Transformer Networks. NIPS 2015. arXiv:1506.02025
    Code: none by the authors.
    TFLite: the sampler reads pixels by position: kattn.export.tflite(model, path, allow=("GATHER",)).
    """
    row = rows(backbone)[1]
    shape = tuple(row.input_shape if input_shape is None else input_shape)
    if len(shape) != 3 or None in shape:
        raise ValueError(
            "input_shape must be (height, width, channels), all known: the localisation network has weights for each "
            f"position. Received: input_shape={shape}"
        )
    check_shape(shape)
    check_order(shape)
    name = name or f"spatial_transformer_{backbone}"
    image = keras.Input(shape, name="image")
    x = normalise(image, row.mean, row.std) if include_preprocessing else image
    theta = localise(x, filters, hidden)
    sampled = SpatialTransformerSampler(size, align_corners, name="sampler")([x, theta])
    network = builder(backbone)(
        input_tensor=sampled,
        classes=classes,
        classifier_activation=classifier_activation,
        include_preprocessing=False,
        **options,
    )
    outputs = network.output
    if return_transform:
        outputs = {**(outputs if isinstance(outputs, dict) else {"predictions": outputs}), "transform": theta}
    model = keras.Model(image, outputs, name=name)
    if weights is not None:
        load_weights(model, weights, name)
    return model


def localise(x: Any, filters: Sequence[int], hidden: int) -> Any:
    """Theta, (batch, 6), of an image or map; the identity at the start."""
    for number, width in enumerate(filters, start=1):
        x = keras.layers.MaxPooling2D(2, data_format="channels_last", name=f"localise_pool{number}")(x)
        x = keras.layers.Conv2D(
            width, 5, padding="same", activation="relu", data_format="channels_last", name=f"localise_conv{number}"
        )(x)
    x = keras.layers.Flatten(data_format="channels_last", name="localise_flatten")(x)
    x = keras.layers.Dense(hidden, activation="relu", name="localise_dense")(x)
    start = keras.initializers.Constant(np.array(IDENTITY, "float32"))
    # In float32 under any policy: float16 has too few digits for positions.
    theta = keras.layers.Dense(
        6, kernel_initializer="zeros", bias_initializer=start, dtype="float32", name="localise_theta"
    )
    return theta(x)
