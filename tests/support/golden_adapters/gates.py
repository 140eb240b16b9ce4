"""Circular ECA, eSE, SimAM, SRM, GCT, coordinate, triplet, shuffle and frequency attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from golden import Weights, assign, has_bias, load_conv, load_norm

from kattn import layers
from support.golden_adapters.classification import reduction_for

Config = dict[str, Any]


def ceca(config: Config, w: Weights, inputs: Sequence[np.ndarray]) -> list[Any]:
    kernel = w["conv.weight"]
    layer = layers.EfficientChannelAttention(kernel.shape[-1], use_bias="conv.bias" in w, circular=True)
    layer.build(inputs[0].shape)
    assign(layer.conv.kernel, kernel.reshape(1, -1, 1, 1), "conv.weight")
    if layer.use_bias:
        assign(layer.conv.bias, w["conv.bias"], "conv.bias")
    return [layer(inputs[0])]


def ese(config: Config, w: Weights, inputs: Sequence[np.ndarray]) -> list[Any]:
    layer = layers.EffectiveSqueezeExcite(config.get("gate", "hard_sigmoid"), use_bias="fc.bias" in w)
    layer.build(inputs[0].shape)
    load_conv(layer.expand, w, "fc")
    return [layer(inputs[0])]


def simam(config: Config, w: Weights, inputs: Sequence[np.ndarray]) -> list[Any]:
    return [layers.SimAM(config.get("e_lambda", 1e-4))(inputs[0])]


def srm(config: Config, w: Weights, inputs: Sequence[np.ndarray]) -> list[Any]:
    layer = layers.StyleRecalibration()
    layer.build(inputs[0].shape)
    mean, deviation = np.moveaxis(w["cfc"], -1, 0)
    assign(layer.mean_weight, mean, "cfc")
    assign(layer.deviation_weight, deviation, "cfc")
    load_norm(layer.norm, w, "bn")
    return [layer(inputs[0])]


def gct(config: Config, w: Weights, inputs: Sequence[np.ndarray]) -> list[Any]:
    layer = layers.GatedChannelTransformation(
        config.get("mode", "l2"), config.get("epsilon", 1e-5), after_relu=bool(config.get("after_relu", False))
    )
    layer.build(inputs[0].shape)
    for name in ("alpha", "gamma", "beta"):
        assign(getattr(layer, name), w[name].reshape(-1), name)
    return [layer(inputs[0])]


def coord(config: Config, w: Weights, inputs: Sequence[np.ndarray]) -> list[Any]:
    # mbv2_ca.py has the same graph with other names.
    rows, columns = ("conv_h", "conv_w") if "conv_h.weight" in w else ("conv2", "conv3")
    hidden = w["conv1.weight"].shape[0]
    layer = layers.CoordinateAttention(
        reduction_for(inputs[0].shape[-1], hidden) if hidden < inputs[0].shape[-1] else 1,
        min_hidden=hidden,
        use_bias=has_bias(w, "conv1", rows, columns),
    )
    layer.build(inputs[0].shape)
    for part, name in ((layer.reduce, "conv1"), (layer.rows, rows), (layer.columns, columns)):
        load_conv(part, w, name)
    load_norm(layer.norm, w, "bn1")
    return [layer(inputs[0])]


def triplet(config: Config, w: Weights, inputs: Sequence[np.ndarray]) -> list[Any]:
    """The kernels are those of maps (channels, width) and (height, channels); the older files have older names."""
    names = {"cw": "ChannelGateH", "hc": "ChannelGateW", "hw": "SpatialGate"}
    if "cw.conv.conv.weight" in w:
        names = {name: name for name in names}
    spatial = f"{names['hw']}.conv.conv.weight" in w
    layer = layers.TripletAttention(w[f"{names['cw']}.conv.conv.weight"].shape[-1], spatial=spatial)
    layer.build(inputs[0].shape)
    for name, conv in layer.convs.items():
        kernel = w[f"{names[name]}.conv.conv.weight"]
        assign(conv.kernel, kernel.transpose((3, 2, 1, 0) if name == "cw" else (2, 3, 1, 0)), name)
        load_norm(layer.norms[name], w, f"{names[name]}.conv.bn")
    return [layer(inputs[0])]


def sa(config: Config, w: Weights, inputs: Sequence[np.ndarray]) -> list[Any]:
    layer = layers.ShuffleAttention(inputs[0].shape[-1] // 2 // w["cweight"].size)
    layer.build(inputs[0].shape)
    names = {"channel_weight": "cweight", "channel_bias": "cbias", "scale": "gn.weight", "shift": "gn.bias"}
    names |= {"position_weight": "sweight", "position_bias": "sbias"}
    for name, source in names.items():
        assign(getattr(layer, name), w[source].reshape(-1), source)
    return [layer(inputs[0])]


def fca(config: Config, w: Weights, inputs: Sequence[np.ndarray]) -> list[Any]:
    size = (config["dct_h"], config["dct_w"]) if "dct_h" in config else None
    layer = layers.FrequencyChannelAttention(
        reduction_for(inputs[0].shape[-1], w["fc.0.weight"].shape[0]), config.get("frequencies", "top16"), size
    )
    layer.build(inputs[0].shape)
    load_conv(layer.reduce, w, "fc.0")
    load_conv(layer.expand, w, "fc.2")
    return [layer(inputs[0])]


ADAPTERS = {
    "ceca": ceca,
    "coord": coord,
    "ese": ese,
    "fca": fca,
    "gct": gct,
    "sa": sa,
    "simam": simam,
    "srm": srm,
    "triplet": triplet,
}
