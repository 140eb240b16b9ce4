"""The methods that give maps, by name: what reports and the command line choose from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from kattn.explain.attending.maps import attention
from kattn.explain.class_maps.by_average import cam
from kattn.explain.class_maps.by_gradient import grad_cam, grad_cam_plus_plus
from kattn.suggest import unknown

CLASS_METHODS: dict[str, Callable[..., np.ndarray]] = {
    "cam": cam,
    "grad_cam": grad_cam,
    "grad_cam_plus_plus": grad_cam_plus_plus,
}
METHODS = (*CLASS_METHODS, "attention")


def maps_by(
    method: str,
    model: keras.Model,
    images: Any,
    *,
    classes: Any = None,
    layer: str | Sequence[str] | None = None,
    query: tuple[float, float] | None = None,
    position: tuple[int, ...] | None = None,
    **stated: Any,
) -> dict[str, np.ndarray]:
    """The maps of a method by the titles of their columns: one of a class method, one a layer of attention.

    Args:
        method: One of METHODS.
        model, images: As the methods take them.
        classes: For class methods.
        layer: The layer looked at, for attention one or several; None: the method's own choice.
        query: For attention.
        position: For grad_cam and grad_cam_plus_plus of a map of classes: the pixel of the output that is explained.
        stated: What is known of the model's input, as the methods take it.

    Raises: ValueError for an unknown method, an option that the method does not have, and as the method does.
    """
    if method == "attention":
        if classes is not None:
            raise ValueError("attention is not of a class; classes belong to cam, grad_cam and grad_cam_plus_plus.")
        return attention(model, images, layers=layer, query=query, **stated)
    if method not in CLASS_METHODS:
        raise unknown("method", method, METHODS)
    if query is not None:
        raise ValueError(f"a query pixel belongs to attention, not to {method}.")
    options: dict[str, Any] = {} if layer is None else {"layer": layer}
    if position is not None:
        if method == "cam":
            raise ValueError("cam is of one row of scores an image; a position belongs to grad_cam.")
        options["position"] = position
    if layer is not None and method == "cam":
        raise ValueError("cam has no layer to choose: it looks at the maps behind which the score is a mean.")
    return {method: CLASS_METHODS[method](model, images, classes=classes, **options, **stated)}
