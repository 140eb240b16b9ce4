"""Maps drawn on their images."""

from __future__ import annotations

from typing import Any

import numpy as np


def overlay(image: Any, heat: Any, *, strength: float = 0.5, colours: str = "viridis") -> np.ndarray:
    """An image with a map over it.

    Args:
        image: (height, width, 1 or 3), 0-255.
        heat: (height, width) in 0-1.
        strength: Share of the map in the result, 0-1.
        colours: A matplotlib colour map; the default is perceptually uniform.

    Returns: uint8 (height, width, 3).
    """
    import matplotlib

    image, heat = np.asarray(image, "float32"), np.asarray(heat, "float32")
    if image.shape[:2] != heat.shape:
        raise ValueError(f"image and map must have one size. Received: image {image.shape}, map {heat.shape}")
    colour = 255 * np.asarray(matplotlib.colormaps[colours](heat))[..., :3]
    mixed = (1 - strength) * np.broadcast_to(image, (*heat.shape, 3)) + strength * colour
    return np.clip(np.rint(mixed), 0, 255).astype("uint8")
