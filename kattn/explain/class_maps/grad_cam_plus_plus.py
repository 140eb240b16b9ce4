"""Grad-CAM++."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from kattn.explain.class_maps.class_activation import by_gradient


def grad_cam_plus_plus(
    model: keras.Model,
    images: Any,
    *,
    classes: Sequence[int] | int | None = None,
    layer: str | None = None,
    output: str | int | None = None,
    batch_size: int = 32,
) -> np.ndarray:
    """Grad-CAM++ of each image, at the image's size: closer than Grad-CAM where a class is there several times.

    g = d score / d A;   a = g^2 / (2 g^2 + g^3 sum over positions of A)
    w_c = sum over positions of a relu(g);   map = relu(sum of w_c A_c), scaled to a maximum of 1

    The score is the logit S. The paper derives a for exp(S), whose further factor exp(S) is the same for all
    positions and channels and leaves with the scaling.

    Arguments, result and errors: as `grad_cam`.
    Paper: Chattopadhyay et al. Grad-CAM++. WACV 2018. arXiv:1710.11063
    Code: adityac94/Grad_CAM_plus_plus
    """
    return by_gradient(
        grad_cam_plus_plus_map, model, images, classes=classes, layer=layer, output=output, batch_size=batch_size
    )


def grad_cam_plus_plus_map(features: Any, gradient: Any) -> Any:
    """Sum of the maps, each weighed by its positive gradients, which count the more the fewer they are."""
    square = ops.square(gradient)
    divisor = 2 * square + square * gradient * ops.sum(features, axis=(1, 2), keepdims=True)
    share = ops.where(divisor == 0, ops.zeros_like(square), square / ops.where(divisor == 0, 1.0, divisor))
    weights = ops.sum(share * ops.relu(gradient), axis=(1, 2), keepdims=True)
    return ops.sum(weights * features, axis=-1)
