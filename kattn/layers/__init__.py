"""Every attention block as a registered Keras layer; `get` and `names` go by the field's short names."""

from __future__ import annotations

import difflib
from typing import Any

import keras

from kattn.layers.attention_branch import AttentionBranch as AttentionBranch
from kattn.layers.attentive_feature_integration import AttentiveFeatureIntegration as AttentiveFeatureIntegration
from kattn.layers.bottleneck_attention import BottleneckAttention as BottleneckAttention
from kattn.layers.cbam import CBAM as CBAM
from kattn.layers.global_context import GlobalContext as GlobalContext
from kattn.layers.grouped_conv import GroupedConv2D as GroupedConv2D
from kattn.layers.squeeze_excite import SqueezeExcite as SqueezeExcite

LAYERS: dict[str, type[keras.Layer]] = {
    "abn": AttentionBranch,
    "afi": AttentiveFeatureIntegration,
    "bam": BottleneckAttention,
    "cbam": CBAM,
    "gc": GlobalContext,
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
