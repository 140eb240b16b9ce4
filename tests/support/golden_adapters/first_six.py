"""SE (also in a residual block), CBAM, BAM, GC, AFI (also its block) and ABN's branch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from golden import Weights, assign, has_bias, load_conv, load_norm

from kattn import layers
from kattn.zoo.attentions.abn import apply_map
from kattn.zoo.attentions.table import ATTENTIONS
from kattn.zoo.backbones import resnet
from kattn.zoo.grammar.placing import BlockSites, Sites

Config = dict[str, Any]


def reduction(config: Config, channels: int, hidden: int | None = None) -> int:
    """The reduction that gives the file's hidden width."""
    hidden = config.get("hidden") or hidden
    wanted = config.get("reduction")
    if wanted and max(1, channels // wanted) == (hidden or max(1, channels // wanted)):
        return int(wanted)
    return next(r for r in range(1, channels + 1) if max(1, channels // r) == hidden)


def load_se(layer: Any, w: Weights, prefix: str = "") -> None:
    load_conv(layer.reduce, w, f"{prefix}fc1")
    load_conv(layer.expand, w, f"{prefix}fc2")


def se(config: Config, w: Weights, inputs: Sequence[np.ndarray]) -> list[Any]:
    layer = layers.SqueezeExcite(
        reduction=reduction(config, inputs[0].shape[-1], w["fc1.weight"].shape[0]),
        squeeze=config.get("squeeze", "avg"),
        excitation=config.get("excitation", "sigmoid"),
        use_bias=has_bias(w, "fc1", "fc2"),
    )
    layer.build(inputs[0].shape)
    load_se(layer, w)
    return [layer(inputs[0])]


POSITIONS = {"standard": "residual", "pre": "input", "post": "output", "identity": "shortcut", "3x3": "inner"}


def se_position(config: Config, w: Weights, inputs: Sequence[np.ndarray]) -> list[Any]:
    """A bottleneck of the zoo's ResNet with the gate at one of its sites."""
    position = config["position"].lower().removeprefix("se_").removeprefix("se-")
    channels, planes = config["in_channels"], config["planes"]
    se_channels = w["se.fc1.weight"].shape[1]
    attention = ATTENTIONS["se"].bind(
        reduction=reduction(config, se_channels, w["se.fc1.weight"].shape[0]),
        use_bias="se.fc1.bias" in w,
        position=POSITIONS.get(position, position),
    )
    at = Sites(attention, 1).stage(1).block(1)
    x = keras.Input((None, None, channels))
    y = resnet.bottleneck(x, planes, config["stride"], at, v1="1x1" in config.get("stride_on", "3x3"))
    model = keras.Model(x, y)
    for number in (1, 2, 3):
        load_conv(model.get_layer(f"{at.name}_conv{number}"), w, f"conv{number}")
        load_norm(model.get_layer(f"{at.name}_conv{number}_bn"), w, f"bn{number}")
    if "downsample.0.weight" in w:
        load_conv(model.get_layer(f"{at.name}_shortcut"), w, "downsample.0")
        load_norm(model.get_layer(f"{at.name}_shortcut_bn"), w, "downsample.1")
    load_se(next(layer for layer in model.layers if isinstance(layer, layers.SqueezeExcite)), w, "se.")
    return [model(inputs[0])]


def cbam(config: Config, w: Weights, inputs: Sequence[np.ndarray]) -> list[Any]:
    reduce, expand = "ChannelGate.mlp.1", "ChannelGate.mlp.3"
    spatial = not config.get("no_spatial", False)
    layer = layers.CBAM(
        reduction=reduction(config, inputs[0].shape[-1], w[f"{reduce}.weight"].shape[0]),
        pools=config.get("pool_types", ("avg", "max")),
        kernel_size=config.get("spatial_kernel", 7),
        spatial=spatial,
        use_bias=has_bias(w, reduce, expand),
        spatial_norm="SpatialGate.spatial.bn.weight" in w,
    )
    layer.build(inputs[0].shape)
    load_conv(layer.reduce, w, reduce)
    load_conv(layer.expand, w, expand)
    if spatial:
        load_conv(layer.spatial_conv, w, "SpatialGate.spatial.conv")
        if config.get("spatial_input_order", ["max", "mean"])[0] != "max":
            layer.spatial_conv.kernel.assign(np.asarray(layer.spatial_conv.kernel)[:, :, ::-1])
        if layer.spatial_norm:
            load_norm(layer.norm, w, "SpatialGate.spatial.bn")
    else:
        w.ignore(*w.names("SpatialGate."))
    return [layer(inputs[0])]


def bam(config: Config, w: Weights, inputs: Sequence[np.ndarray]) -> list[Any]:
    layer = layers.BottleneckAttention(
        reduction=reduction(config, inputs[0].shape[-1]),
        dilation=config.get("dilation", 4),
        dilated_convs=config.get("dilation_convs", 2),
        hidden_layers=config.get("num_layers", 1),
        combine=config.get("combine", "mul"),
        final_norm=bool(config.get("final_norm", False)),
    )
    layer.build(inputs[0].shape)
    channel, spatial = "channel_att.gate_c.gate_c_", "spatial_att.gate_s.gate_s_"
    hidden = range(layer.hidden_layers)
    dilated = range(layer.dilated_convs)
    names = {"channel_out": f"{channel}fc_final", "spatial_out": f"{spatial}conv_final"}
    names |= {f"channel_hidden{i}": f"{channel}fc_{i}" for i in hidden}
    names |= {f"channel_hidden{i}_bn": f"{channel}bn_{i + 1}" for i in hidden}
    names |= {"spatial_reduce": f"{spatial}conv_reduce0", "spatial_reduce_bn": f"{spatial}bn_reduce0"}
    names |= {f"spatial_dilated{i}": f"{spatial}conv_di_{i}" for i in dilated}
    names |= {f"spatial_dilated{i}_bn": f"{spatial}bn_di_{i}" for i in dilated}
    names |= {"channel_out_bn": f"{channel}bn_final", "spatial_out_bn": f"{spatial}bn_final"}
    for part in [*layer.channel, *layer.spatial]:
        if isinstance(part, keras.layers.BatchNormalization):
            load_norm(part, w, names[part.name])
        elif isinstance(part, keras.layers.Conv2D):
            load_conv(part, w, names[part.name])
    return [layer(inputs[0])]


def gc(config: Config, w: Weights, inputs: Sequence[np.ndarray]) -> list[Any]:
    fusions = [f.removeprefix("channel_").replace("mul", "scale") for f in config.get("fusion", ["add"])]
    some = f"channel_{'add' if 'add' in fusions else 'mul'}_conv.0.weight"
    layer = layers.GlobalContext(
        reduction=reduction(config, inputs[0].shape[-1], w[some].shape[0]),
        context=config.get("pooling", "att"),
        fusion="both" if len(fusions) == 2 else fusions[0],
    )
    layer.build(inputs[0].shape)
    if layer.context == "att":
        load_conv(layer.mask, w, "conv_mask")
    for fusion in layer.reduce:
        name = f"channel_{'add' if fusion == 'add' else 'mul'}_conv"
        load_conv(layer.reduce[fusion], w, f"{name}.0")
        assign(layer.gamma[fusion], w[f"{name}.1.weight"].reshape(-1), f"{name}.1.weight")
        assign(layer.beta[fusion], w[f"{name}.1.bias"].reshape(-1), f"{name}.1.bias")
        load_conv(layer.expand[fusion], w, f"{name}.3")
    return [layer(inputs[0])]


def load_afi(layer: Any, w: Weights, prefix: str = "") -> None:
    load_conv(layer.reduce, w, f"{prefix}fc1")
    load_conv(layer.expand, w, f"{prefix}fc2")


def afi(config: Config, w: Weights, inputs: Sequence[np.ndarray]) -> list[Any]:
    layer = layers.AttentiveFeatureIntegration(
        reduction=reduction(config, inputs[0].shape[-1], w["fc1.weight"].shape[0]),
        use_bias=has_bias(w, "fc1", "fc2"),
        return_attention=True,
    )
    layer.build([x.shape for x in inputs])
    load_afi(layer, w)
    return list(layer(list(inputs)))


def afi_block(config: Config, w: Weights, inputs: Sequence[np.ndarray]) -> list[Any]:
    """A later basic block of the zoo's ResNet, with the earlier maps given."""
    channels, half = config["channels"], config["half"]
    attention = ATTENTIONS["afi"].bind(reduction=reduction(config, half, w["afi.fc1.weight"].shape[0]))
    stage = Sites(attention, 1).stage(1, blocks=2)
    x, *earlier = (keras.Input((None, None, i.shape[-1])) for i in inputs)
    stage.first_conv().maps = list(earlier)
    at = BlockSites(stage, 2)
    y = resnet.basic_block(x, channels, 1, at)
    integrate = f"{at.name}_conv1_integrate"
    probe = keras.Model([x, *earlier], y)
    outputs = [y, probe.get_layer(f"{at.name}_conv1_relu").output, probe.get_layer(integrate).output]
    model = keras.Model([x, *earlier], outputs)
    for number in (1, 2):
        load_conv(model.get_layer(f"{at.name}_conv{number}"), w, f"conv{number}")
        load_norm(model.get_layer(f"{at.name}_conv{number}_bn"), w, f"bn{number}")
    load_afi(model.get_layer(integrate), w, "afi.")
    return model(list(inputs))


def abn(config: Config, w: Weights, inputs: Sequence[np.ndarray]) -> list[Any]:
    """The tail of the zoo's ResNet: a stage's copy at stride 1, the branch, the gated map."""
    classes = config["num_classes"]
    bottleneck = config.get("unit", "basic") != "basic"
    block = resnet.bottleneck if bottleneck else resnet.basic_block
    blocks = config.get("num_blocks", 1)
    x = keras.Input((None, None, config["in_channels"]))
    y = x
    stage = Sites(ATTENTIONS["none"], 1).stage(1, blocks)
    for i in range(1, blocks + 1):
        y = block(y, config["planes"], config.get("stride", 1) if i == 1 else 1, stage.block(i))
    branch = layers.AttentionBranch(
        classes, map_kernel_size=w["att_conv3.weight"].shape[-1], map_norm="bn_att3.weight" in w
    )
    logits, attention = branch(y)
    model = keras.Model(x, [logits, attention, apply_map(x, attention, "residual")])
    for i in range(1, blocks + 1):
        name, source = stage.block(i).name, f"att_layer3.{i - 1}"
        for number in (1, 2, 3) if bottleneck else (1, 2):
            load_conv(model.get_layer(f"{name}_conv{number}"), w, f"{source}.conv{number}")
            load_norm(model.get_layer(f"{name}_conv{number}_bn"), w, f"{source}.bn{number}")
        if f"{source}.downsample.0.weight" in w:
            load_conv(model.get_layer(f"{name}_shortcut"), w, f"{source}.downsample.0")
            load_norm(model.get_layer(f"{name}_shortcut_bn"), w, f"{source}.downsample.1")
    load_norm(branch.input_norm, w, "bn_att")
    load_conv(branch.class_conv, w, "att_conv")
    load_norm(branch.class_norm, w, "bn_att2")
    load_conv(branch.logits_conv, w, "att_conv2")
    load_conv(branch.map_conv, w, "att_conv3")
    if branch.map_norm:
        load_norm(branch.map_bn, w, "bn_att3")
    return model(inputs[0])


ADAPTERS = {
    "se": se,
    "se_position": se_position,
    "cbam": cbam,
    "bam": bam,
    "gc": gc,
    "afi": afi,
    "afi_block": afi_block,
    "abn": abn,
}
