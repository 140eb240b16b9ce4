"""Every attention block as a registered Keras layer; `get` and `names` go by the field's short names."""

from __future__ import annotations

import difflib
import importlib
from typing import Any

import keras

from kattn.layers.attention_branch import AttentionBranch as AttentionBranch
from kattn.layers.attentive_feature_integration import AttentiveFeatureIntegration as AttentiveFeatureIntegration
from kattn.layers.bilinear_attention_transform import BilinearAttentionTransform as BilinearAttentionTransform
from kattn.layers.bottleneck_attention import BottleneckAttention as BottleneckAttention
from kattn.layers.cbam import CBAM as CBAM
from kattn.layers.context_encoding import ContextEncoding as ContextEncoding
from kattn.layers.coordinate_attention import CoordinateAttention as CoordinateAttention
from kattn.layers.criss_cross import CrissCrossAttention as CrissCrossAttention
from kattn.layers.criss_cross_head import CrissCrossHead as CrissCrossHead
from kattn.layers.cross_channel import CrossChannelCommunication as CrossChannelCommunication
from kattn.layers.double_attention import DoubleAttention as DoubleAttention
from kattn.layers.dual_attention import ChannelSelfAttention as ChannelSelfAttention
from kattn.layers.dual_attention import PositionAttention as PositionAttention
from kattn.layers.dual_attention_head import DualAttentionHead as DualAttentionHead
from kattn.layers.eca import EfficientChannelAttention as EfficientChannelAttention
from kattn.layers.effective_squeeze_excite import EffectiveSqueezeExcite as EffectiveSqueezeExcite
from kattn.layers.efficient_multi_scale import EfficientMultiScaleAttention as EfficientMultiScaleAttention
from kattn.layers.encoding import Encoding as Encoding
from kattn.layers.frequency_channel_attention import FrequencyChannelAttention as FrequencyChannelAttention
from kattn.layers.gated_channel_transformation import GatedChannelTransformation as GatedChannelTransformation
from kattn.layers.gather_excite import GatherExcite as GatherExcite
from kattn.layers.global_context import GlobalContext as GlobalContext
from kattn.layers.large_kernel_attention import LargeKernelAttention as LargeKernelAttention
from kattn.layers.mixed_pooling import MixedPooling as MixedPooling
from kattn.layers.multi_head_self_attention import MultiHeadSelfAttention2D as MultiHeadSelfAttention2D
from kattn.layers.non_local import NonLocal as NonLocal
from kattn.layers.non_local_means import NonLocalMeans as NonLocalMeans
from kattn.layers.object_attention import ObjectAttention as ObjectAttention
from kattn.layers.object_context import ObjectContext as ObjectContext
from kattn.layers.object_context_asp import ASPObjectContext as ASPObjectContext
from kattn.layers.object_context_pyramid import PyramidObjectContext as PyramidObjectContext
from kattn.layers.pieces.aggregated_bottleneck import AggregatedBottleneck as AggregatedBottleneck
from kattn.layers.pieces.channel_shuffle import ChannelShuffle as ChannelShuffle
from kattn.layers.pieces.conv_norm import ConvNormActivation as ConvNormActivation
from kattn.layers.pieces.dilated_pooling import DilatedPooling2D as DilatedPooling2D
from kattn.layers.pieces.grouped import GroupedConv2D as GroupedConv2D
from kattn.layers.pieces.pre_activation import PreActivationBottleneck as PreActivationBottleneck
from kattn.layers.pieces.residual_block import ResidualBlock as ResidualBlock
from kattn.layers.pieces.resize_like import ResizeLike as ResizeLike
from kattn.layers.pieces.rezero import ReZero as ReZero
from kattn.layers.pieces.semantic_encoding_loss import SemanticEncodingLoss as SemanticEncodingLoss
from kattn.layers.pieces.spectral_norm import SpectralNorm as SpectralNorm
from kattn.layers.polarized import PolarizedSelfAttention as PolarizedSelfAttention
from kattn.layers.psa import PointwiseSpatialAttention as PointwiseSpatialAttention
from kattn.layers.rcan import ResidualChannelAttentionBlock as ResidualChannelAttentionBlock
from kattn.layers.rcan import ResidualChannelAttentionGroup as ResidualChannelAttentionGroup
from kattn.layers.residual_attention import ResidualAttention as ResidualAttention
from kattn.layers.residual_attention_next import ResidualAttentionNeXt as ResidualAttentionNeXt
from kattn.layers.rnan import ResidualLocalAttentionBlock as ResidualLocalAttentionBlock
from kattn.layers.rnan import ResidualNonLocalAttentionBlock as ResidualNonLocalAttentionBlock
from kattn.layers.rnan_non_local import RNANNonLocal as RNANNonLocal
from kattn.layers.sagan import SAGANAttention as SAGANAttention
from kattn.layers.san import LocalSourceResidualAttentionGroup as LocalSourceResidualAttentionGroup
from kattn.layers.san import NonLocalResidualGroup as NonLocalResidualGroup
from kattn.layers.san_region_non_local import RegionNonLocal as RegionNonLocal
from kattn.layers.san_soca import SecondOrderChannelAttention as SecondOrderChannelAttention
from kattn.layers.selective_kernel import SelectiveKernel as SelectiveKernel
from kattn.layers.shuffle_attention import ShuffleAttention as ShuffleAttention
from kattn.layers.simam import SimAM as SimAM
from kattn.layers.simplified_non_local import SimplifiedNonLocal as SimplifiedNonLocal
from kattn.layers.spatial_transformer import SpatialTransformer as SpatialTransformer
from kattn.layers.spatial_transformer import SpatialTransformerSampler as SpatialTransformerSampler
from kattn.layers.split_attention import SplitAttention as SplitAttention
from kattn.layers.squeeze_excite import SqueezeExcite as SqueezeExcite
from kattn.layers.strip_pooling import StripPooling as StripPooling
from kattn.layers.style_attention import StyleAttention as StyleAttention
from kattn.layers.style_attention_levels import MultiLevelStyleAttention as MultiLevelStyleAttention
from kattn.layers.style_recalibration import StyleRecalibration as StyleRecalibration
from kattn.layers.triplet_attention import TripletAttention as TripletAttention

LAYERS: dict[str, type[keras.Layer]] = {
    "a2": DoubleAttention,
    "abn": AttentionBranch,
    "afi": AttentiveFeatureIntegration,
    "bam": BottleneckAttention,
    "bat": BilinearAttentionTransform,
    "c3": CrossChannelCommunication,
    "cbam": CBAM,
    "ccnet": CrissCrossAttention,
    "ccnet_head": CrissCrossHead,
    "context_encoding": ContextEncoding,
    "coord": CoordinateAttention,
    "danet": DualAttentionHead,
    "danet_channel": ChannelSelfAttention,
    "danet_position": PositionAttention,
    "eca": EfficientChannelAttention,
    "ema": EfficientMultiScaleAttention,
    "encoding": Encoding,
    "ese": EffectiveSqueezeExcite,
    "fca": FrequencyChannelAttention,
    "gc": GlobalContext,
    "gct": GatedChannelTransformation,
    "ge": GatherExcite,
    "lka": LargeKernelAttention,
    "lsrag": LocalSourceResidualAttentionGroup,
    "mhsa": MultiHeadSelfAttention2D,
    "nl": NonLocal,
    "nlm": NonLocalMeans,
    "object_attention": ObjectAttention,
    "object_context": ObjectContext,
    "object_context_asp": ASPObjectContext,
    "object_context_pyramid": PyramidObjectContext,
    "polarized": PolarizedSelfAttention,
    "psa": PointwiseSpatialAttention,
    "rab": ResidualLocalAttentionBlock,
    "ran": ResidualAttention,
    "ran_next": ResidualAttentionNeXt,
    "rcab": ResidualChannelAttentionBlock,
    "rcan": ResidualChannelAttentionGroup,
    "rcan_ca": SqueezeExcite,
    "rl_nl": RegionNonLocal,
    "rnab": ResidualNonLocalAttentionBlock,
    "rnan_nl": RNANNonLocal,
    "sa": ShuffleAttention,
    "sagan": SAGANAttention,
    "san": NonLocalResidualGroup,
    "sanet": StyleAttention,
    "sanet_multi": MultiLevelStyleAttention,
    "se": SqueezeExcite,
    "simam": SimAM,
    "sk": SelectiveKernel,
    "snl": SimplifiedNonLocal,
    "soca": SecondOrderChannelAttention,
    "splat": SplitAttention,
    "srm": StyleRecalibration,
    "stn": SpatialTransformer,
    "stn_sampler": SpatialTransformerSampler,
    "strip": StripPooling,
    "strip_mixed": MixedPooling,
    "triplet": TripletAttention,
}


def names() -> list[str]:
    """Short names that `get` takes.

    Returns: The names in alphabetical order.
    """
    return sorted(LAYERS)


def get(name: str, **options: Any) -> keras.Layer:
    """A new layer by its short name: `get("se", reduction=8)` is `SqueezeExcite(reduction=8)`.

    Returns: The layer, not built.
    Raises: ValueError for an unknown name (with the closest ones); TypeError for an option the layer does not have.
    """
    if name not in LAYERS:
        close = difflib.get_close_matches(str(name), LAYERS, n=3)
        hint = f" Closest: {', '.join(close)}." if close else ""
        raise ValueError(f"Unknown layer {name!r}.{hint} All names: {', '.join(names())}.")
    return LAYERS[name](**options)


def __getattr__(name: str) -> Any:
    """`check`, which stands on the exporters, as these stand on the layers: it is imported when it is asked for."""
    if name == "check":
        return importlib.import_module("kattn.layer_checks.checking").check
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
