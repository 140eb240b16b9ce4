"""Grad-CAM."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from kattn.explain.class_maps.class_activation import by_gradient


def grad_cam(
    model: keras.Model,
    images: Any,
    *,
    classes: Sequence[int] | int | None = None,
    layer: str | None = None,
    output: str | int | None = None,
    batch_size: int = 32,
) -> np.ndarray:
    """Grad-CAM of each image, at the image's size.

    w_c = mean over positions of d score / d A_c;   map = relu(sum of w_c A_c), scaled to a maximum of 1

    The score is the class's logit: what the softmax or sigmoid at the model's end takes, a layer of its own or not.

    Args:
        model: A functional or Sequential model of one input; models nested in it are opened.
        images: (images, height, width, channels), as the model takes them.
        classes: The class to explain, for all images or for each. None: the predicted one.
        layer: Name of the layer whose maps A are weighted ("inner_model/layer" in a nested model). None: the last one
            on the way to the score that gives a feature map of more than one position. Where ways lead around it, the
            gradient is that through the layer alone.
        output: Name or index of the output to explain. None: "predictions", else the first.
        batch_size: Images at a time.

    Returns: float32 (images, height, width) in 0-1; all zero where nothing speaks for the class.
    Raises: ValueError for a layer that is none of the model's (with the closest names), or is no feature map on the
        way to the score; for a model without feature maps; for classes out of range; for images that do not fit.
    Paper: Selvaraju et al. Grad-CAM. ICCV 2017. arXiv:1610.02391
    """
    return by_gradient(grad_cam_map, model, images, classes=classes, layer=layer, output=output, batch_size=batch_size)


def grad_cam_map(features: Any, gradient: Any) -> Any:
    """Sum of the maps, each weighed by its mean gradient."""
    return ops.sum(ops.mean(gradient, axis=(1, 2), keepdims=True) * features, axis=-1)
