"""RCAN, SAN, RNAN and non-local means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from golden import Weights, assign, has_bias, load_conv, load_norm

from kattn.layers import (
    LocalSourceResidualAttentionGroup,
    NonLocalMeans,
    NonLocalResidualGroup,
    RegionNonLocal,
    ResidualBlock,
    ResidualChannelAttentionBlock,
    ResidualChannelAttentionGroup,
    ResidualLocalAttentionBlock,
    ResidualNonLocalAttentionBlock,
    RNANNonLocal,
    SecondOrderChannelAttention,
    SqueezeExcite,
)
from support.golden_adapters.generation import side


def load_gate(layer: SqueezeExcite | SecondOrderChannelAttention, w: Weights, prefix: str = "") -> None:
    load_conv(layer.reduce, w, f"{prefix}conv_du.0")
    load_conv(layer.expand, w, f"{prefix}conv_du.2")


def rcan_ca(cfg: dict[str, Any], w: Weights, x: Sequence[np.ndarray]) -> Sequence[Any]:
    """RCAN's channel attention is a squeeze-excite."""
    layer = SqueezeExcite(cfg["reduction"], use_bias=has_bias(w, "conv_du.0", "conv_du.2"))
    layer.build(x[0].shape)
    load_gate(layer, w)
    return [layer(x[0])]


def load_rcab(layer: ResidualChannelAttentionBlock, w: Weights, prefix: str = "") -> None:
    """Positions in the body: conv, [norm], relu, conv, [norm], gate."""
    first, second, gate = (0, 3, 5) if layer.batch_norm else (0, 2, 3)
    load_conv(layer.conv1, w, f"{prefix}body.{first}")
    load_conv(layer.conv2, w, f"{prefix}body.{second}")
    if layer.batch_norm:
        load_norm(layer.norm1, w, f"{prefix}body.1")
        load_norm(layer.norm2, w, f"{prefix}body.4")
    load_gate(layer.gate, w, f"{prefix}body.{gate}.")


def rcan_rcab(cfg: dict[str, Any], w: Weights, x: Sequence[np.ndarray]) -> Sequence[Any]:
    """`res_scale` is accepted and ignored, as by the authors' code."""
    layer = ResidualChannelAttentionBlock(
        kernel_size=cfg["kernel_size"],
        reduction=cfg["reduction"],
        use_bias=has_bias(w, "body.0"),
        batch_norm=cfg["bn"],
    )
    layer.build(x[0].shape)
    load_rcab(layer, w)
    return [layer(x[0])]


def rcan_rg(cfg: dict[str, Any], w: Weights, x: Sequence[np.ndarray]) -> Sequence[Any]:
    blocks = cfg["n_resblocks"]
    layer = ResidualChannelAttentionGroup(
        blocks,
        cfg["kernel_size"],
        cfg["reduction"],
        use_bias=has_bias(w, "body.0.body.0", f"body.{blocks}"),
        batch_norm=cfg.get("bn", False),
    )
    layer.build(x[0].shape)
    for i, block in enumerate(layer.body):
        load_rcab(block, w, f"body.{i}.")
    load_conv(layer.conv, w, f"body.{blocks}")
    return [layer(x[0])]


def san_soca(cfg: dict[str, Any], w: Weights, x: Sequence[np.ndarray]) -> Sequence[Any]:
    layer = SecondOrderChannelAttention(cfg["reduction"], cfg["newton_schulz_iterations"])
    layer.build(x[0].shape)
    load_gate(layer, w)
    return [layer(x[0])]


def load_region(layer: RegionNonLocal, w: Weights, prefix: str = "") -> None:
    """Pooled branches are a sequence of convolution and pooling; W one of convolution and normalisation."""
    w.ignore(*w.names(f"{prefix}soca."))
    pooled = ".0" if f"{prefix}non_local.g.0.weight" in w else ""
    load_conv(layer.theta, w, f"{prefix}non_local.theta")
    load_conv(layer.phi, w, f"{prefix}non_local.phi{pooled}")
    load_conv(layer.g, w, f"{prefix}non_local.g{pooled}")
    load_conv(layer.w, w, f"{prefix}non_local.W{'.0' if layer.batch_norm else ''}")
    if layer.batch_norm:
        load_norm(layer.norm, w, f"{prefix}non_local.W.1")


def san_rlnl(cfg: dict[str, Any], w: Weights, x: Sequence[np.ndarray]) -> Sequence[Any]:
    layer = RegionNonLocal(
        side(cfg["regions"]),
        inter_channels=cfg["inter_channels"],
        pool=side(cfg["key_value_pool"]),
        batch_norm=cfg["bn_layer"],
    )
    layer.build(x[0].shape)
    load_region(layer, w)
    return [layer(x[0])]


def load_lsrag(layer: LocalSourceResidualAttentionGroup, w: Weights, prefix: str = "") -> None:
    w.ignore(f"{prefix}gamma")
    for i, block in enumerate(layer.body):
        load_conv(block.conv1, w, f"{prefix}rcab.{i}.conv_first.0")
        load_conv(block.conv2, w, f"{prefix}rcab.{i}.conv_first.2")
    load_gate(layer.attention, w, f"{prefix}soca.")
    load_conv(layer.conv, w, f"{prefix}conv_last")


def san_lsrag(cfg: dict[str, Any], w: Weights, x: Sequence[np.ndarray]) -> Sequence[Any]:
    layer = LocalSourceResidualAttentionGroup(
        cfg["n_resblocks"], cfg["kernel_size"], cfg["reduction"], cfg["newton_schulz_iterations"]
    )
    layer.build(x[0].shape)
    load_lsrag(layer, w)
    return [layer(x[0])]


def san_nlrg(cfg: dict[str, Any], w: Weights, x: Sequence[np.ndarray]) -> Sequence[Any]:
    """The network's last convolution, where a file has one, is never called."""
    w.ignore(*w.names("conv_last."))
    layer = NonLocalResidualGroup(
        cfg["n_resgroups"],
        cfg["n_resblocks"],
        kernel_size=w["RG.0.conv_last.weight"].shape[-1],
        reduction=cfg["reduction"],
        iterations=cfg["newton_schulz_iterations"],
        inter_channels=cfg["inter_channels"],
        regions=side(cfg["regions"]),
        pool=side(cfg["key_value_pool"]),
    )
    layer.build(x[0].shape)
    load_region(layer.non_local, w, "non_local.")
    for i, group in enumerate(layer.body):
        load_lsrag(group, w, f"RG.{i}.")
    assign(layer.gamma, w["gamma"].reshape(()), "gamma")
    return [layer(x[0])]


def load_rnan_non_local(layer: RNANNonLocal, w: Weights, prefix: str = "") -> None:
    for name, conv in {"theta": layer.theta, "phi": layer.phi, "g": layer.g, "W": layer.w}.items():
        load_conv(conv, w, f"{prefix}{name}")


def rnan_nonlocal(cfg: dict[str, Any], w: Weights, x: Sequence[np.ndarray]) -> Sequence[Any]:
    layer = RNANNonLocal(cfg["softmax_axis"], inter_channels=cfg["inter_channels"])
    layer.build(x[0].shape)
    load_rnan_non_local(layer, w)
    return [layer(x[0])]


def load_blocks(blocks: Sequence[ResidualBlock], w: Weights, prefix: str, start: int = 0) -> None:
    for i, block in enumerate(blocks, start):
        load_conv(block.conv1, w, f"{prefix}.{i}.body.0")
        load_conv(block.conv2, w, f"{prefix}.{i}.body.2")


def load_attention_block(layer: ResidualLocalAttentionBlock, w: Weights) -> None:
    load_blocks(layer.head, w, "RA_RB1")
    load_blocks(layer.trunk, w, "RA_TB.0.body")
    fine = layer.mask_fine
    if isinstance(fine[0], RNANNonLocal):
        load_rnan_non_local(fine[0], w, "RA_MB.0.MB_RB1.0.")
        load_blocks(fine[1:], w, "RA_MB.0.MB_RB1", start=1)
    else:
        load_blocks(fine, w, "RA_MB.0.MB_RB1")
    load_conv(layer.down, w, "RA_MB.0.MB_Down.0")
    load_blocks(layer.mask_coarse, w, "RA_MB.0.MB_RB2")
    load_conv(layer.up, w, "RA_MB.0.MB_Up.0")  # (in, out, h, w) becomes Keras's (h, w, out, in)
    load_blocks(layer.mask_merged, w, "RA_MB.0.MB_RB3")
    load_conv(layer.gate, w, "RA_MB.0.MB_1x1conv.0")
    load_blocks(layer.tail, w, "RA_tail")


def block_options(cfg: dict[str, Any]) -> dict[str, Any]:
    names = ("head_blocks", "trunk_blocks", "mask_blocks", "tail_blocks", "kernel_size")
    return {name: cfg[name] for name in names}


def rnan_rab(cfg: dict[str, Any], w: Weights, x: Sequence[np.ndarray]) -> Sequence[Any]:
    layer = ResidualLocalAttentionBlock(**block_options(cfg))
    layer.build(x[0].shape)
    load_attention_block(layer, w)
    return [layer(x[0])]


def rnan_rnab(cfg: dict[str, Any], w: Weights, x: Sequence[np.ndarray]) -> Sequence[Any]:
    layer = ResidualNonLocalAttentionBlock(
        softmax_axis=cfg["softmax_axis"], inter_channels=cfg["inter_channels"], **block_options(cfg)
    )
    layer.build(x[0].shape)
    load_attention_block(layer, w)
    return [layer(x[0])]


def nlm(cfg: dict[str, Any], w: Weights, x: Sequence[np.ndarray]) -> Sequence[Any]:
    layer = NonLocalMeans(
        sigma=cfg["sigma"],
        patch_size=cfg["patch_size"],
        search_size=cfg["search_size"],
        distance=cfg["distance"],
        patch_padding=cfg["patch_padding"],
    )
    return [layer(x[0])]


ADAPTERS = {
    "rcan_ca": rcan_ca,
    "rcan_rcab": rcan_rcab,
    "rcan_rg": rcan_rg,
    "san_soca": san_soca,
    "san_rlnl": san_rlnl,
    "san_lsrag": san_lsrag,
    "san_nlrg": san_nlrg,
    "rnan_nonlocal": rnan_nonlocal,
    "rnan_rab": rnan_rab,
    "rnan_rnab": rnan_rnab,
    "nlm": nlm,
}
