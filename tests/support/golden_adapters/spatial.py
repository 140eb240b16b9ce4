"""LKA, A2, strip and mixed pooling, polarized self-attention, EMA, BAT and BoTNet's self-attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from golden import Weights, assign, has_bias, load_conv, load_norm

from kattn import layers

Config = dict[str, Any]
Inputs = Sequence[np.ndarray]


def load_depthwise(layer: Any, w: Weights, name: str) -> None:
    """A depthwise convolution with its bias."""
    assign(layer.kernel, w[f"{name}.weight"].transpose(2, 3, 0, 1), f"{name}.weight")
    assign(layer.bias, w[f"{name}.bias"], f"{name}.bias")


def lka(config: Config, w: Weights, inputs: Inputs) -> list[Any]:
    project = "proj_1.weight" in w
    layer = layers.LargeKernelAttention(project=project)
    layer.build(inputs[0].shape)
    inside = "spatial_gating_unit." if project else ""
    load_depthwise(layer.near, w, f"{inside}conv0")
    load_depthwise(layer.far, w, f"{inside}conv_spatial")
    load_conv(layer.mix, w, f"{inside}conv1")
    if project:
        load_conv(layer.enter, w, "proj_1")
        load_conv(layer.leave, w, "proj_2")
    return [layer(inputs[0])]


def a2(config: Config, w: Weights, inputs: Inputs) -> list[Any]:
    reconstruct = "conv_reconstruct.weight" in w
    layer = layers.DoubleAttention(
        features=w["convA.weight"].shape[0],
        descriptions=w["convB.weight"].shape[0],
        reconstruct=reconstruct,
        residual=bool(config.get("residual", False)),
    )
    layer.build(inputs[0].shape)
    for part, name in ((layer.gather, "convA"), (layer.where, "convB"), (layer.distribute, "convV")):
        load_conv(part, w, name)
    if reconstruct:
        load_conv(layer.out, w, "conv_reconstruct")
    return [layer(inputs[0])]


def strip(config: Config, w: Weights, inputs: Inputs) -> list[Any]:
    layer = layers.StripPooling(kernel_size=w["conv1.weight"].shape[2], return_attention=True)
    layer.build(inputs[0].shape)
    for number, (conv, norm) in enumerate(zip(layer.convs, layer.norms, strict=True), 1):
        load_conv(conv, w, f"conv{number}")
        load_norm(norm, w, f"bn{number}")
    load_conv(layer.out, w, "conv3")
    outputs = layer(inputs[0])
    return list(outputs[: len(config.get("outputs", [None]))])


def strip_mixed(config: Config, w: Weights, inputs: Inputs) -> list[Any]:
    inner, channels = w["conv1_1.0.weight"].shape[:2]
    layer = layers.MixedPooling(pool_sizes=config["pool_sizes"], reduction=channels // inner)
    layer.build(inputs[0].shape)
    names = {"enter_grids": "conv1_1", "enter_strips": "conv1_2", "fine": "conv2_0", "grid0": "conv2_1"}
    names |= {"grid1": "conv2_2", "columns": "conv2_3", "rows": "conv2_4", "grids": "conv2_5", "strips": "conv2_6"}
    for name, source in (names | {"out": "conv3"}).items():
        load_conv(layer.convs[name], w, f"{source}.0")
        load_norm(layer.norms[name], w, f"{source}.1")
    return [layer(inputs[0])]


def polarized(config: Config, w: Weights, inputs: Inputs) -> list[Any]:
    sequential = "conv_up.0.weight" in w
    layer = layers.PolarizedSelfAttention(sequential=sequential)
    layer.build(inputs[0].shape)
    names = {"channel_query": "conv_q_right", "channel_value": "conv_v_right", "spatial_query": "conv_q_left"}
    names |= {"spatial_value": "conv_v_left"}
    if sequential:
        names |= {"reduce": "conv_up.0", "expand": "conv_up.3"}
        assign(layer.gamma, w["conv_up.1.weight"].reshape(-1), "conv_up.1.weight")
        assign(layer.beta, w["conv_up.1.bias"].reshape(-1), "conv_up.1.bias")
    else:
        names["expand"] = "conv_up"
    for name, source in names.items():
        load_conv(getattr(layer, name), w, source)
    return [layer(inputs[0])]


def ema(config: Config, w: Weights, inputs: Inputs) -> list[Any]:
    layer = layers.EfficientMultiScaleAttention(factor=inputs[0].shape[-1] // w["gn.weight"].shape[0])
    layer.build(inputs[0].shape)
    for part, name in ((layer.point, "conv1x1"), (layer.local, "conv3x3")):
        assign(part.shared_kernel, w[f"{name}.weight"].transpose(2, 3, 1, 0), f"{name}.weight")
        assign(part.shared_bias, w[f"{name}.bias"], f"{name}.bias")
    assign(layer.gamma, w["gn.weight"], "gn.weight")
    assign(layer.beta, w["gn.bias"], "gn.bias")
    return [layer(inputs[0])]


def load_unit(unit: Any, w: Weights, name: str) -> None:
    load_conv(unit.conv, w, f"{name}.0")
    load_norm(unit.norm, w, f"{name}.1")


def bat(config: Config, w: Weights, inputs: Inputs) -> list[Any]:
    inner, channels = w["conv1.0.weight"].shape[:2]
    inside = "batransform."
    matrices = w[f"{inside}conv1.0.weight"].shape[0]
    layer = layers.BilinearAttentionTransform(
        reduction=next(r for r in range(1, channels + 1) if max(1, channels // r // matrices) * matrices == inner),
        block_size=w[f"{inside}conv_p.weight"].shape[2],
        matrices=matrices,
    )
    layer.build(inputs[0].shape)
    units = {"enter": "conv1", "pooled": f"{inside}conv1", "mixed": f"{inside}conv2", "leave": "conv2"}
    for part, name in units.items():
        load_unit(getattr(layer, part), w, name)
    load_conv(layer.left, w, f"{inside}conv_p")
    load_conv(layer.right, w, f"{inside}conv_q")
    return [layer(inputs[0])]


def mhsa(config: Config, w: Weights, inputs: Inputs) -> list[Any]:
    """timm's file: the rows of its one projection are those of the queries, the keys and the values."""
    filters, heads = config["out_channels"], config["heads"]
    total = w["qkv.weight"].shape[0]
    keys = (total - filters) // 2
    layer = layers.MultiHeadSelfAttention2D(
        filters,
        strides=config.get("stride", 1),
        heads=heads,
        key_dim=keys // heads,
        use_bias=has_bias(w, "qkv"),
        scale_position=config["scale_position"],
        pool_padding="valid",
    )
    layer.build(inputs[0].shape)
    borders = (keys, 2 * keys)
    kernels = np.split(w["qkv.weight"].transpose(2, 3, 1, 0), borders, axis=-1)
    for part, kernel in zip((layer.query, layer.key, layer.value), kernels, strict=True):
        assign(part.kernel, kernel, "qkv.weight")
    if layer.use_bias:
        for part, bias in zip((layer.query, layer.key, layer.value), np.split(w["qkv.bias"], borders), strict=True):
            assign(part.bias, bias, "qkv.bias")
    assign(layer.height_table, w["pos_embed.height_rel"], "pos_embed.height_rel")
    assign(layer.width_table, w["pos_embed.width_rel"], "pos_embed.width_rel")
    return [layer(inputs[0])]


ADAPTERS = {
    "lka": lka,
    "a2": a2,
    "strip": strip,
    "strip_mixed": strip_mixed,
    "polarized": polarized,
    "polarized_seq": polarized,
    "ema": ema,
    "bat": bat,
    "mhsa": mhsa,
}
