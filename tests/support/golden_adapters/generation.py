"""SAGAN self-attention and style attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from golden import Weights, assign, has_bias, load_conv

from kattn.layers import MultiLevelStyleAttention, SAGANAttention, StyleAttention


def side(text: str | None) -> int:
    """ "2x2 max, stride 2, floor" is 2; nothing or "none" is 1."""
    return int(text.split("x")[0]) if text and text[0].isdigit() else 1


def sagan(cfg: dict[str, Any], w: Weights, x: Sequence[np.ndarray]) -> Sequence[Any]:
    """The form without an output convolution, its weights spectrally normalised or not."""
    bias = has_bias(w, "query_conv", "key_conv", "value_conv")
    layer = SAGANAttention(qk_reduction=cfg["qk_reduction"], use_bias=bias, return_attention=True)
    layer.build(x[0].shape)
    for conv, name in ((layer.query, "query_conv"), (layer.key, "key_conv"), (layer.value, "value_conv")):
        load_conv(conv, w, name)
    assign(layer.gamma, w["gamma"].reshape(()), "gamma")
    return layer(x[0])


def sagan_sn(cfg: dict[str, Any], w: Weights, x: Sequence[np.ndarray]) -> Sequence[Any]:
    """One call that makes its power iterations first: ours does so in training only."""
    layer = SAGANAttention(
        qk_reduction=cfg["qk_reduction"],
        spectral_norm=True,
        power_iterations=cfg["power_iterations"],
        return_attention=True,
    )
    layer.build(x[0].shape)
    for norm, name in ((layer.query, "query_conv"), (layer.key, "key_conv"), (layer.value, "value_conv")):
        norm.epsilon = cfg["eps"]
        assign(norm.layer.kernel, w[f"{name}.module.weight_bar"].transpose(2, 3, 1, 0), name)
        assign(norm.layer.bias, w[f"{name}.module.bias"], name)
        assign(norm.u, w[f"{name}.module.weight_u"], name)
        assign(norm.v, w[f"{name}.module.weight_v"], name)
    assign(layer.gamma, w["gamma"].reshape(()), "gamma")
    return layer(x[0], training=True)


def sagan_pooled(cfg: dict[str, Any], w: Weights, x: Sequence[np.ndarray]) -> Sequence[Any]:
    """The forms with an output convolution."""
    layer = SAGANAttention(
        form="release",
        qk_reduction=cfg["qk_reduction"],
        value_reduction=cfg["value_reduction"],
        pool=side(cfg["pool"]),
        use_bias=cfg["bias"],
        return_attention=True,
    )
    layer.build(x[0].shape)
    convs = {"theta": layer.query, "phi": layer.key, "g": layer.value, "attn": layer.output_projection}
    for name, conv in convs.items():
        load_conv(conv, w, name)
    assign(layer.gamma, w["sigma"].reshape(()), "sigma")
    return layer(x[0])


def load_style(layer: StyleAttention, w: Weights, prefix: str) -> None:
    convs = {"f": layer.query, "g": layer.key, "h": layer.value, "out_conv": layer.output_projection}
    for name, conv in convs.items():
        load_conv(conv, w, f"{prefix}{name}")


def sanet(cfg: dict[str, Any], w: Weights, x: Sequence[np.ndarray]) -> Sequence[Any]:
    bias = has_bias(w, "f", "g", "h", "out_conv")
    layer = StyleAttention(epsilon=cfg["eps"], unbiased=cfg["variance"] == "N-1", use_bias=bias)
    layer.build([t.shape for t in x])
    load_style(layer, w, "")
    return [layer(list(x))]


def sanet_multi(cfg: dict[str, Any], w: Weights, x: Sequence[np.ndarray]) -> Sequence[Any]:
    bias = has_bias(w, "sanet4_1.f", "sanet5_1.f", "merge_conv")
    layer = MultiLevelStyleAttention(epsilon=cfg["eps"], unbiased=cfg["variance"] == "N-1", use_bias=bias)
    layer.build([t.shape for t in x])
    load_style(layer.level4, w, "sanet4_1.")
    load_style(layer.level5, w, "sanet5_1.")
    load_conv(layer.merge, w, "merge_conv")
    return [layer(list(x))]


ADAPTERS = {
    "sagan": sagan,
    "sagan_sn": sagan_sn,
    "sagan_pooled": sagan_pooled,
    "sanet": sanet,
    "sanet_multi": sanet_multi,
}
