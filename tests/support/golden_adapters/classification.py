"""NL, SNL, GE, ECA, SK, split attention, C3, the residual attention module and the spatial transformer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from golden import Weights, assign, has_bias, load_conv, load_norm

from kattn import layers

Config = dict[str, Any]


def first_found(w: Weights, *names: str) -> str:
    """The one of these layers that the file has: a convolution followed by pooling has a number behind its name."""
    return next(name for name in names if f"{name}.weight" in w)


def reduction_for(width: int, hidden: int) -> int:
    """A reduction r with max(1, width // r) equal to the file's hidden width."""
    found = [r for r in range(1, width + 1) if max(1, width // r) == hidden]
    if not found:
        raise ValueError(f"no reduction of {width} gives the hidden width {hidden}")
    return found[0]


def number(value: Any, default: int) -> int:
    """A size that may be written as one number, as a pair of equal numbers, or not at all."""
    if value is None:
        return default
    return int(value[0]) if isinstance(value, list | tuple) else int(value)


def nonlocal_(config: Config, w: Weights, inputs: Sequence[np.ndarray]) -> list[Any]:
    mode = str(config.get("mode", "embedded_gaussian")).lower().replace("-", "_").replace(" ", "_")
    mode = {"embedded": "embedded_gaussian", "dot": "dot_product", "concat": "concatenation"}.get(mode, mode)
    names = {"g": first_found(w, "g.0", "g"), "W": first_found(w, "W.0", "W", "out.0", "out")}
    norm = next((name for name in ("W.1", "out.1", "bn") if f"{name}.weight" in w), None)
    if mode != "gaussian":
        names |= {name: first_found(w, f"{name}.0", name) for name in ("theta", "phi")}
    layer = layers.NonLocal(
        mode=mode,
        inner_channels=w[f"{names['g']}.weight"].shape[0],
        sub_sample=bool(config.get("sub_sample", True)),
        pool_first=bool(config.get("pool_first", False)),
        use_scale=bool(config.get("use_scale", False)),
        use_norm=norm is not None,
        use_bias=has_bias(w, *names.values()),
    )
    layer.build(inputs[0].shape)
    for name, source in names.items():
        load_conv({"W": layer.out}.get(name) or getattr(layer, name), w, source)
    if norm:
        load_norm(layer.norm, w, norm)
    if mode == "concatenation":
        source = first_found(w, "concat_project.0", "concat_project")
        query, key = np.split(w[f"{source}.weight"].reshape(-1), 2)
        assign(layer.query_score.kernel, query.reshape(1, 1, -1, 1), "concat_project, queries")
        assign(layer.key_score.kernel, key.reshape(1, 1, -1, 1), "concat_project, keys")
    return [layer(inputs[0])]


def snl(config: Config, w: Weights, inputs: Sequence[np.ndarray]) -> list[Any]:
    layer = layers.SimplifiedNonLocal(use_bias="conv_value.bias" in w)
    layer.build(inputs[0].shape)
    load_conv(layer.value, w, "conv_value")
    assign(layer.mask.kernel, w["conv_mask.weight"].transpose(2, 3, 1, 0), "conv_mask.weight")
    w.ignore("conv_mask.bias")  # the softmax cancels it
    return [layer(inputs[0])]


def ge(config: Config, w: Weights, inputs: Sequence[np.ndarray]) -> list[Any]:
    variant = str(config.get("variant", "theta")).lower().replace("-", "_").replace(" ", "_").removeprefix("ge_")
    variant = {"minus": "theta_minus", "plus": "theta_plus", "theta+": "theta_plus", "theta_": "theta_minus"}.get(
        variant, variant
    )
    channels = inputs[0].shape[-1]
    fc1, fc2 = "mlp.fc1", "mlp.fc2"
    plus = variant == "theta_plus"
    layer = layers.GatherExcite(
        variant=variant,
        extent=int(config.get("extent") or 0),
        reduction=reduction_for(channels, w[f"{fc1}.weight"].shape[0]) if plus else 16,
    )
    layer.build(inputs[0].shape)
    for place, (conv, norm) in enumerate(zip(layer.convs, layer.norms, strict=True), 1):
        kernel = w[f"gather.conv{place}.weight"]
        assign(conv.kernel, kernel.transpose(2, 3, 0, 1), f"gather.conv{place}.weight")
        load_norm(norm, w, f"gather.norm{place}")
    if plus:
        load_conv(layer.reduce, w, fc1)
        load_conv(layer.expand, w, fc2)
    return [layer(inputs[0])]


def eca(config: Config, w: Weights, inputs: Sequence[np.ndarray]) -> list[Any]:
    kernel = w["conv.weight"]
    layer = layers.EfficientChannelAttention(kernel_size=kernel.shape[-1], use_bias="conv.bias" in w)
    layer.build(inputs[0].shape)
    assign(layer.conv.kernel, kernel.reshape(1, -1, 1, 1), "conv.weight")
    if layer.use_bias:
        assign(layer.conv.bias, w["conv.bias"], "conv.bias")
    return [layer(inputs[0])]


def sk(config: Config, w: Weights, inputs: Sequence[np.ndarray]) -> list[Any]:
    branches = len({name.split(".")[1] for name in w.names("paths.")})
    kernels = [w[f"paths.{m}.conv.weight"] for m in range(branches)]
    hidden, filters = w["attn.fc_reduce.weight"].shape[:2]
    dilations = config.get("dilations") or [max(1, size // 2) for size in config["kernel_sizes"]]
    layer = layers.SelectiveKernel(
        filters,
        strides=number(config.get("stride"), 1),
        kernel_size=[kernel.shape[-1] for kernel in kernels],
        dilations=[number(dilation, 1) for dilation in dilations],
        groups=inputs[0].shape[-1] // kernels[0].shape[1],
        reduction=filters,
        min_hidden=hidden,
    )
    layer.build(inputs[0].shape)
    for m in range(branches):
        load_conv(layer.convs[m], w, f"paths.{m}.conv")
        load_norm(layer.norms[m], w, f"paths.{m}.bn")
        rows = w["attn.fc_select.weight"][m * filters : (m + 1) * filters]  # branch-major
        assign(layer.select[m].kernel, rows.transpose(2, 3, 1, 0), "attn.fc_select.weight")
    load_conv(layer.reduce, w, "attn.fc_reduce")
    load_norm(layer.reduce_norm, w, "attn.bn")
    return [layer(inputs[0])]


def splat(config: Config, w: Weights, inputs: Sequence[np.ndarray]) -> list[Any]:
    radix, groups = int(config.get("radix", 2)), int(config.get("groups", config.get("cardinality", 1)))
    hidden, filters = w["fc1.weight"].shape[0], w["bn0.weight"].shape[0] // radix
    layer = layers.SplitAttention(
        filters,
        strides=number(config.get("stride"), 1),
        kernel_size=w["conv.weight"].shape[-1],
        radix=radix,
        groups=groups,
        reduction=inputs[0].shape[-1] * radix,
        min_hidden=hidden,
        average_down=bool(config.get("avd", False)),
        use_bias="conv.bias" in w,
    )
    layer.build(inputs[0].shape)
    for part, name in ((layer.conv, "conv"), (layer.reduce, "fc1")):
        load_conv(part, w, name)
    for part, name in ((layer.conv_norm, "bn0"), (layer.reduce_norm, "bn1")):
        load_norm(part, w, name)
    # The rows of W2 are (cardinality, radix, channels of a group); each split is one convolution here.
    kernel = w["fc2.weight"].reshape(groups, radix, filters // groups, -1)
    bias = w["fc2.bias"].reshape(groups, radix, filters // groups)
    for r in range(radix):
        assign(layer.select[r].kernel, kernel[:, r].reshape(filters, -1).T[None, None], "fc2.weight")
        assign(layer.select[r].bias, bias[:, r].reshape(-1), "fc2.bias")
    return [layer(inputs[0])]


def c3_size(config: Config, height: int, width: int, area: int) -> tuple[int, int]:
    """The working size: as configured, or as the distributed file derives it from the configured one."""
    wanted = (config.get("spatial_height") or height, config.get("spatial_width") or width)
    factor = max(1, height // wanted[0])
    candidates = [(height, width), wanted, (height // factor, width // factor)]
    fitting = [size for size in candidates if size[0] * size[1] == area]
    if wanted in fitting:
        return wanted
    if not fitting:
        raise ValueError(f"no working size of {area} positions from {json.dumps(config)}")
    return fitting[-1]


def c3(config: Config, w: Weights, inputs: Sequence[np.ndarray]) -> list[Any]:
    _, height, width, channels = inputs[0].shape
    hidden, area = w["fc_in.0.weight"].shape[:2]
    size = c3_size(config, height, width, area)
    patches = size != (height, width) and config.get("resize") is None
    layer = layers.CrossChannelCommunication(
        reduction=reduction_for(area, hidden),
        size=size,
        large_maps="patches" if patches else "resize",
        use_norm="bn.weight" in w,
        activation="relu" if config.get("final_relu", True) else None,
        channel_block=channels // int(config.get("channel_blocks") or 1),
    )
    layer.build(inputs[0].shape)
    names = {"encode1": "fc_in.0", "encode2": "fc_in.2", "decode1": "fc_out.0", "decode2": "fc_out.2"}
    for name, source in names.items():
        part = getattr(layer, name)
        assign(part.kernel, w[f"{source}.weight"].reshape(part.filters, -1).T[None, None], source)
        assign(part.bias, w[f"{source}.bias"], source)
    if layer.use_norm:
        load_norm(layer.norm, w, "bn")
    w.ignore("ln.weight", "ln.bias")  # the distributed file makes a layer norm that it never calls
    for name in (*w.names("downsample."), *w.names("upsample.")):
        w.ignore(name)  # nor these
    return [layer(inputs[0])]


def load_unit(unit: Any, w: Weights, name: str) -> None:
    for place in (1, 2, 3):
        load_norm(getattr(unit, f"norm{place}"), w, f"{name}.bn{place}")
        load_conv(getattr(unit, f"conv{place}"), w, f"{name}.conv{place}")


def ran(config: Config, w: Weights, inputs: Sequence[np.ndarray]) -> list[Any]:
    """The files number the mask's parts along the graph: downwards, upwards, the head."""
    depth = int(config.get("depth", 3))
    layer = layers.ResidualAttention(
        depth=depth,
        attention=config.get("attention", "mixed"),
        pre_units=int(config.get("p", 1)),
        trunk_units=int(config.get("t", 2)),
        mask_units=int(config.get("r", 1)),
        reduction=reduction_for(inputs[0].shape[-1], config["bottleneck"]) if "bottleneck" in config else 4,
        return_attention=True,
    )
    layer.build(inputs[0].shape)
    parts = {"first": "first_residual_blocks", "trunk": "trunk_branches", "last": "last_blocks"}
    for level in range(1, depth + 1):
        parts |= {f"down{level}": f"softmax{level}_blocks", f"skip{level}": f"skip{level}_connection_residual_block"}
        parts |= {f"up{level}": f"softmax{2 * depth - level}_blocks"}
    for name, unit in layer.units.items():
        part, place = name.split("_")
        source = parts[part] if f"{parts[part]}.bn1.weight" in w else f"{parts[part]}.{place}"
        load_unit(unit, w, source)
    head = f"softmax{2 * depth}_blocks"
    load_norm(layer.head_norm1, w, f"{head}.0")
    load_conv(layer.head_conv1, w, f"{head}.2")
    load_norm(layer.head_norm2, w, f"{head}.3")
    load_conv(layer.head_conv2, w, f"{head}.5")
    y, mask = layer(inputs[0])
    trunk = layer.trunk(layer.first(inputs[0]))
    found = {"module output": y, "mask M": mask, "trunk T": trunk}
    return [found[name] for name in config.get("outputs", list(found))]


def stn(config: Config, w: Weights, inputs: Sequence[np.ndarray]) -> list[Any]:
    size = tuple(config["out_size"]) if config.get("out_size") else None
    align_corners = bool(config.get("align_corners", False))
    if "fc1.weight" not in w:
        x, theta = inputs
        return [layers.SpatialTransformerSampler(size, align_corners)([x, theta.reshape(-1, 6)])]
    (x,) = inputs
    hidden = w["fc1.weight"].shape[0]
    layer = layers.SpatialTransformer(hidden, size, align_corners, return_attention=True)
    layer.build(x.shape)
    load_conv(layer.localise, w, "fc1")
    load_conv(layer.theta, w, "fc2")
    order = str(config.get("flatten", "chw")).lower()  # PyTorch's
    if order.index("c") < order.index("h"):
        kernel = w["fc1.weight"].reshape(hidden, x.shape[3], *x.shape[1:3]).transpose(2, 3, 1, 0)
        assign(layer.localise.kernel, kernel.reshape(-1, hidden), "fc1.weight")
    return list(layer(x))[: len(config.get("outputs", ["sampled image"]))]


ADAPTERS = {
    "nonlocal": nonlocal_,
    "snl": snl,
    "ge": ge,
    "eca": eca,
    "sk": sk,
    "splat": splat,
    "c3": c3,
    "ran": ran,
    "stn": stn,
}
