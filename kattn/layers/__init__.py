"""Every attention block as a registered Keras layer; `get` and `names` go by the field's short names."""

from __future__ import annotations

import difflib
from typing import Any

import keras

from kattn.layers.squeeze_excite import SqueezeExcite as SqueezeExcite

LAYERS: dict[str, type[keras.Layer]] = {
    "se": SqueezeExcite,
}


def names() -> list[str]:
    """Short names that `get` takes."""
    return sorted(LAYERS)


def get(name: str, **options: Any) -> keras.Layer:
    """A new layer by its short name: `get("se", reduction=8)` is `SqueezeExcite(reduction=8)`.

    Raises: ValueError for an unknown name (with the closest ones); TypeError for an option the layer does not have.
    """
    if name not in LAYERS:
        close = difflib.get_close_matches(str(name), LAYERS, n=3)
        hint = f" Closest: {', '.join(close)}." if close else ""
        raise ValueError(f"Unknown layer {name!r}.{hint} All names: {', '.join(names())}.")
    return LAYERS[name](**options)
