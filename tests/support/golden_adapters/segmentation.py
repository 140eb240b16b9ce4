"""PSA, context encoding, OCNet, DANet and CCNet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from golden import Weights, assign, load_conv, load_norm

from kattn import layers
from kattn.layers.pieces.psa_mask import psa_mask

Config = dict[str, Any]
Inputs = Sequence[np.ndarray]
PSA_MODES = ("collect", "distribute", "both")  # of the files' psa_type


def reduction(config: Config, key: str, channels: int, hidden: int) -> int:
    """The reduction the file names, or the one that gives its hidden width."""
    named = config.get(key)
    if named and max(1, channels // named) == hidden:
        return int(named)
    return next(r for r in range(1, channels + 1) if max(1, channels // r) == hidden)


def load_bn(layer: Any, config: Config, w: Weights, name: str) -> None:
    """Batch normalisation with the file's epsilon."""
    load_norm(layer, w, name)
    layer.epsilon = config.get("bn_eps", layer.epsilon)


def load_unit(unit: Any, config: Config, w: Weights, conv: str, norm: str) -> None:
    """A ConvNormActivation."""
    load_conv(unit.conv, w, conv)
    load_bn(unit.norm, config, w, norm)


def mask(config: Config, w: Weights, inputs: Inputs) -> list[Any]:
    matrix = psa_mask(inputs[0], (config["mask_h"], config["mask_w"]), distribute=config["psa_type"] == 1)
    batch, height, width, _ = inputs[0].shape
    return [np.asarray(matrix).reshape(batch, height, width, -1)]


def psa(config: Config, w: Weights, inputs: Inputs) -> list[Any]:
    mode = PSA_MODES[config["psa_type"]]
    layer = layers.PointwiseSpatialAttention(
        channels=config["mid_channels"],
        mode=mode,
        shrink=config.get("shrink_factor", 2),
        mask_size=(config["mask_h"], config["mask_w"]),
        compact=config.get("compact", False),
        softmax=config.get("psa_softmax", True),
        normalization=config.get("normalization_factor", 1.0),
    )
    layer.build(inputs[0].shape)
    for i, stack in enumerate(layer.reduce):
        suffix = "_p" if i else ""
        load_unit(layer.reduce[stack], config, w, f"reduce{suffix}.0", f"reduce{suffix}.1")
        load_unit(layer.hidden[stack], config, w, f"attention{suffix}.0", f"attention{suffix}.1")
        load_conv(layer.offsets[stack], w, f"attention{suffix}.3")
    load_unit(layer.project, config, w, "proj.0", "proj.1")
    return [layer(inputs[0])]


def load_encoding(layer: Any, w: Weights, prefix: str = "") -> None:
    assign(layer.codewords, w[f"{prefix}codewords"], f"{prefix}codewords")
    assign(layer.scale, w[f"{prefix}scale"], f"{prefix}scale")


def encoding(config: Config, w: Weights, inputs: Inputs) -> list[Any]:
    layer = layers.Encoding(config["codes"])
    layer.build(inputs[0].shape)
    load_encoding(layer, w)
    return [layer(inputs[0])]


def context_encoding(config: Config, w: Weights, inputs: Inputs) -> list[Any]:
    classes = config["nclass"] if config.get("se_loss", True) else None
    forms = {name: config[name] for name in ("aggregate", "residual") if name in config}
    layer = layers.ContextEncoding(config["ncodes"], classes, **forms)
    layer.build(inputs[0].shape)
    load_unit(layer.project, config, w, "encoding.0", "encoding.1")
    load_encoding(layer.encoding, w, "encoding.3.")
    load_bn(layer.norm, config, w, "encoding.4")
    load_conv(layer.gate, w, "fc.0")
    if classes is None:
        w.ignore(*w.names("selayer."))
        return [layer(inputs[0])]
    load_conv(layer.presence, w, "selayer")
    return list(layer(inputs[0]))


def load_stage(stage: Any, config: Config, w: Weights, prefix: str) -> None:
    """An ObjectAttention, whose one projection the file holds twice."""
    load_unit(stage.key, config, w, f"{prefix}.f_key.0", f"{prefix}.f_key.1")
    w.ignore(*w.names(f"{prefix}.f_query."))
    load_conv(stage.value, w, f"{prefix}.f_value")
    load_conv(stage.out, w, f"{prefix}.W")


def load_object_context(layer: Any, config: Config, w: Weights, prefix: str = "") -> None:
    for i, stage in enumerate(layer.stages):
        load_stage(stage, config, w, f"{prefix}stages.{i}")
    load_unit(layer.fuse, config, w, f"{prefix}conv_bn_dropout.0", f"{prefix}conv_bn_dropout.1")


def object_context(concat: bool) -> Any:
    def adapter(config: Config, w: Weights, inputs: Inputs) -> list[Any]:
        layer = layers.ObjectContext(
            config["out_channels"],
            config["key_channels"],
            config["value_channels"],
            scales=config.get("sizes", [1]),
            concat=concat,
            negative_slope=config.get("leaky_slope", 0.01),
        )
        layer.build(inputs[0].shape)
        load_object_context(layer, config, w)
        return [layer(inputs[0])]

    return adapter


def object_context_pyramid(config: Config, w: Weights, inputs: Inputs) -> list[Any]:
    layer = layers.PyramidObjectContext(
        config["out_channels"],
        config["sizes"],
        config["key_channels"],
        config["value_channels"],
        negative_slope=config.get("leaky_slope", 0.01),
    )
    layer.build(inputs[0].shape)
    load_object_context(layer, config, w)
    load_unit(layer.widen, config, w, "up_dr.0", "up_dr.1")
    return [layer(inputs[0])]


def object_context_asp(config: Config, w: Weights, inputs: Inputs) -> list[Any]:
    layer = layers.ASPObjectContext(
        config["out_features"],
        config["dilations"],
        config["key_channels"],
        config["value_channels"],
        config["output_channels"],
        scales=config.get("sizes", [2]),
        negative_slope=config.get("leaky_slope", 0.01),
    )
    layer.build(inputs[0].shape)
    load_unit(layer.context_in, config, w, "context.0", "context.1")
    load_object_context(layer.context, config, w, "context.2.")
    for i, branch in enumerate(layer.branches):
        load_unit(branch, config, w, f"conv{i + 2}.0", f"conv{i + 2}.1")
    load_unit(layer.fuse, config, w, "conv_bn_dropout.0", "conv_bn_dropout.1")
    return [layer(inputs[0])]


def load_gamma(layer: Any, w: Weights, prefix: str) -> None:
    assign(layer.gamma, w[f"{prefix}gamma"].reshape(()), f"{prefix}gamma")


def load_projections(layer: Any, w: Weights, prefix: str = "") -> None:
    """The queries, keys and values of the position or criss-cross attention, and gamma."""
    for name in ("query", "key", "value"):
        load_conv(getattr(layer, name), w, f"{prefix}{name}_conv")
    load_gamma(layer, w, prefix)


def qk_reduction(config: Config, w: Weights, prefix: str = "") -> int:
    hidden, channels = w[f"{prefix}query_conv.weight"].shape[:2]
    return reduction(config, "qk_reduction", channels, hidden)


def position_attention(config: Config, w: Weights, inputs: Inputs) -> list[Any]:
    layer = layers.PositionAttention(qk_reduction(config, w))
    layer.build(inputs[0].shape)
    load_projections(layer, w)
    return [layer(inputs[0])]


def channel_attention(config: Config, w: Weights, inputs: Inputs) -> list[Any]:
    layer = layers.ChannelSelfAttention(negate=config.get("negate", True))
    layer.build(inputs[0].shape)
    load_gamma(layer, w, "")
    return [layer(inputs[0])]


def dual_attention_head(config: Config, w: Weights, inputs: Inputs) -> list[Any]:
    layer = layers.DualAttentionHead(config["classes"], config["inter_channels"], qk_reduction(config, w, "sa."))
    layer.build(inputs[0].shape)
    units = {"position_in": "conv5a", "channel_in": "conv5c", "position_out": "conv51", "channel_out": "conv52"}
    for unit, name in units.items():
        load_unit(getattr(layer, unit), config, w, f"{name}.0", f"{name}.1")
    load_projections(layer.position, w, "sa.")
    load_gamma(layer.channel, w, "sc.")
    for classifier, name in zip(layer.classifiers, ("conv8.1", "conv6.1", "conv7.1"), strict=True):
        load_conv(classifier, w, name)
    return list(layer(inputs[0]))


def criss_cross(config: Config, w: Weights, inputs: Inputs) -> list[Any]:
    layer = layers.CrissCrossAttention(qk_reduction(config, w), config["recurrence"])
    layer.build(inputs[0].shape)
    load_projections(layer, w)
    return [layer(inputs[0])]


def criss_cross_head(config: Config, w: Weights, inputs: Inputs) -> list[Any]:
    layer = layers.CrissCrossHead(
        config["classes"],
        config["inter_channels"],
        config["out_channels"],
        config["recurrence"],
        qk_reduction(config, w, "cca."),
        negative_slope=config.get("leaky_slope", 0.01),
    )
    layer.build(inputs[0].shape)
    load_unit(layer.reduce, config, w, "conva.0", "conva.1")
    load_projections(layer.attention, w, "cca.")
    load_unit(layer.refine, config, w, "convb.0", "convb.1")
    load_unit(layer.fuse, config, w, "bottleneck.0", "bottleneck.1")
    load_conv(layer.classify, w, "bottleneck.3")
    return [layer(inputs[0])]


ADAPTERS = {
    "psa_mask": mask,
    "psa_collect": psa,
    "psa_distribute": psa,
    "psa_bidirection": psa,
    "enc_layer": encoding,
    "enc_module": context_encoding,
    "ocnet_base": object_context(concat=True),
    "ocnet_context": object_context(concat=False),
    "ocnet_pyramid": object_context_pyramid,
    "ocnet_asp": object_context_asp,
    "danet_pam": position_attention,
    "danet_cam": channel_attention,
    "danet_head": dual_attention_head,
    "ccnet_cca": criss_cross,
    "ccnet_rcca": criss_cross_head,
}
