"""The table of attentions: which factory stands at which site. Combinations are names joined: afi_se, abn_se_gc.

A new attention is a row here. Models, options, listing, features, weights, training and export follow from it.
"""

from __future__ import annotations

import functools

from kattn.layers.bilinear_attention_transform import BilinearAttentionTransform
from kattn.layers.bottleneck_attention import BottleneckAttention
from kattn.layers.cbam import CBAM
from kattn.layers.coordinate_attention import CoordinateAttention
from kattn.layers.cross_channel import CrossChannelCommunication
from kattn.layers.double_attention import DoubleAttention
from kattn.layers.eca import EfficientChannelAttention
from kattn.layers.effective_squeeze_excite import EffectiveSqueezeExcite
from kattn.layers.efficient_multi_scale import EfficientMultiScaleAttention
from kattn.layers.frequency_channel_attention import FrequencyChannelAttention
from kattn.layers.gated_channel_transformation import GatedChannelTransformation
from kattn.layers.gather_excite import GatherExcite
from kattn.layers.global_context import GlobalContext
from kattn.layers.large_kernel_attention import LargeKernelAttention
from kattn.layers.multi_head_self_attention import MultiHeadSelfAttention2D
from kattn.layers.non_local import NonLocal
from kattn.layers.polarized import PolarizedSelfAttention
from kattn.layers.selective_kernel import SelectiveKernel
from kattn.layers.shuffle_attention import ShuffleAttention
from kattn.layers.simam import SimAM
from kattn.layers.simplified_non_local import SimplifiedNonLocal
from kattn.layers.split_attention import SplitAttention
from kattn.layers.squeeze_excite import SqueezeExcite
from kattn.layers.strip_pooling import StripPooling
from kattn.layers.style_recalibration import StyleRecalibration
from kattn.layers.triplet_attention import TripletAttention
from kattn.zoo.attentions.abn import attention_branch
from kattn.zoo.attentions.afi import AFIConv
from kattn.zoo.grammar.factories import as_bare_conv, as_conv
from kattn.zoo.grammar.sites import Attention

SE_PAPER = "Hu, Shen, Sun. Squeeze-and-Excitation Networks. CVPR 2018. arXiv:1709.01507"
CBAM_PAPER = "Woo, Park, Lee, Kweon. CBAM: Convolutional Block Attention Module. ECCV 2018. arXiv:1807.06521"
BAM_PAPER = "Park, Woo, Lee, Kweon. BAM: Bottleneck Attention Module. BMVC 2018. arXiv:1807.06514"
GC_PAPER = "Cao, Xu, Lin, Wei, Hu. GCNet. ICCVW 2019. arXiv:1904.11492"
NL_PAPER = "Wang, Girshick, Gupta, He. Non-local Neural Networks. CVPR 2018. arXiv:1711.07971"
ECA_PAPER = "Wang, Wu, Zhu, Li, Zuo, Hu. ECA-Net. CVPR 2020. arXiv:1910.03151"
GE_PAPER = "Hu, Shen, Albanie, Sun, Vedaldi. Gather-Excite. NeurIPS 2018. arXiv:1810.12348"
SK_PAPER = "Li, Wang, Hu, Yang. Selective Kernel Networks. CVPR 2019. arXiv:1903.06586"
SPLIT_PAPER = "Zhang et al. ResNeSt: Split-Attention Networks. 2020. arXiv:2004.08955"
C3_PAPER = "Yang, Ren, Gan, Zhu, Parikh. Cross-channel Communication Networks. NeurIPS 2019"
AFI_PAPER = "Pan, Xu, Pan, Wen, Lin, Bai, Xu. AFINet: Attentive Feature Integration Networks. 2021"
ABN_PAPER = "Fukui, Hirakawa, Yamashita, Fujiyoshi. Attention Branch Network. CVPR 2019. arXiv:1812.10025"
ESE_PAPER = "Lee, Park. CenterMask. CVPR 2020. arXiv:1911.06667"
SRM_PAPER = "Lee, Kim, Nam. SRM: A Style-based Recalibration Module for CNNs. ICCV 2019. arXiv:1903.10829"
SA_PAPER = "Zhang, Yang. SA-Net: Shuffle Attention for Deep CNNs. ICASSP 2021. arXiv:2102.00240"
FCA_PAPER = "Qin, Zhang, Wu, Li. FcaNet: Frequency Channel Attention Networks. ICCV 2021. arXiv:2012.11879"
COORD_PAPER = "Hou, Zhou, Feng. Coordinate Attention for Efficient Mobile Network Design. CVPR 2021. arXiv:2103.02907"
SIMAM_PAPER = "Yang, Zhang, Li, Xie. SimAM: A Simple, Parameter-Free Attention Module for CNNs. ICML 2021"
GCT_PAPER = "Yang, Zhu, Wu, Yang. Gated Channel Transformation. CVPR 2020. arXiv:1909.11519"
TRIPLET_PAPER = "Misra, Nalamada, Arasanipalai, Hou. Rotate to Attend. WACV 2021. arXiv:2010.03045"

EMA_PAPER = "Ouyang et al. Efficient Multi-Scale Attention Module. ICASSP 2023. arXiv:2305.13563"
A2_PAPER = "Chen, Kalantidis, Li, Yan, Feng. A2-Nets: Double Attention Networks. NeurIPS 2018. arXiv:1810.11579"
BAT_PAPER = "Chi, Yuan, Mu, Wang. Non-Local Neural Networks With Grouped Bilinear Attentional Transforms. CVPR 2020"
LKA_PAPER = "Guo, Lu, Liu, Cheng, Hu. Visual Attention Network. CVM 2023. arXiv:2202.09741"
POLARIZED_PAPER = "Liu, Liu, Fan, Huang. Polarized Self-Attention. Neurocomputing 2022. arXiv:2107.00782"
STRIP_PAPER = "Hou, Zhang, Cheng, Feng. Strip Pooling. CVPR 2020. arXiv:2003.13328"
BOTNET_PAPER = "Srinivas et al. Bottleneck Transformers for Visual Recognition. CVPR 2021. arXiv:2101.11605"

# Networks differ in how many stages they have before stride 4, so the rules count back from the last stage, c5.


def last_three(stage: int, count: int) -> bool:
    """GC's "all": c3, c4 and c5 of a network with stages c2 to c5; all stages of a network with three."""
    return stage > count - 3


def last_four(stage: int, count: int) -> bool:
    """c2 to c5: BAM stands at the three boundaries between them, at strides 4, 8 and 16, and at none before."""
    return stage > count - 4


def middle_two(stage: int, count: int) -> bool:
    """The non-local paper's res3 and res4: the two stages before the last."""
    return count - 3 < stage < count


def next_to_last(number: int, count: int) -> bool:
    """The one before the last, or the only one."""
    return number == max(1, count - 1)


def spread(block: int, count: int) -> bool:
    """The non-local authors' choice: every second block of a stage of 4 or 6 blocks, every seventh of a stage of 23."""
    return block % min(count, max(2, count // 3)) == 0


def first(block: int, count: int) -> bool:
    """The first block of the stage."""
    return block == 1


def last_stage(stage: int, count: int) -> bool:
    """c5."""
    return stage == count


def ends_and_last_stage(block: int, blocks: int, stage: int, stages: int) -> bool:
    """SPNet's choice: the last block of every stage, and all blocks of the last."""
    return block == blocks or stage == stages


def halves_and_thirds(block: int, blocks: int, stage: int, stages: int) -> bool:
    """The BAT authors' choice: two in the third-last stage, three in the one before the last, spread evenly.

    After every second of 4 blocks and every fourth of 8; after every second of 6, every seventh of 23 and every twelfth
    of 36.
    """
    wanted = 2 if stage == stages - 2 else 3
    return block % min(blocks, max(2, blocks // wanted)) == 0


# Larger maps are resized to 16x16, as in the authors' CIFAR networks: the parameters grow with the square of the area.
c3 = functools.partial(CrossChannelCommunication, size=16)

ATTENTIONS: dict[str, Attention] = {
    "none": Attention(),
    "se": Attention(residual=SqueezeExcite, paper=SE_PAPER),
    "cbam": Attention(residual=CBAM, paper=CBAM_PAPER),
    "bam": Attention(between_stages=BottleneckAttention, stages=last_four, paper=BAM_PAPER),
    "gc": Attention(residual=GlobalContext, stages=last_three, paper=GC_PAPER),
    "eca": Attention(residual=EfficientChannelAttention, paper=ECA_PAPER),
    "ge": Attention(residual=GatherExcite, paper=GE_PAPER),
    "ese": Attention(residual=EffectiveSqueezeExcite, paper=ESE_PAPER),
    "srm": Attention(residual=StyleRecalibration, paper=SRM_PAPER),
    "sa": Attention(residual=ShuffleAttention, paper=SA_PAPER),
    "fca": Attention(residual=FrequencyChannelAttention, paper=FCA_PAPER),
    "triplet": Attention(residual=TripletAttention, paper=TRIPLET_PAPER),
    # The expanded maps of MobileNetV2, the authors' network, but not in its first stage, whose block expands nothing.
    "coord": Attention(widest=CoordinateAttention, stages=last_four, paper=COORD_PAPER),
    "simam": Attention(before_norm=SimAM, paper=SIMAM_PAPER),
    "gct": Attention(conv_input=GatedChannelTransformation, paper=GCT_PAPER),
    # Between blocks, as in the authors' code: the mechanism is a residual block itself.
    "nl": Attention(output=NonLocal, stages=middle_two, blocks=spread, paper=NL_PAPER),
    # One in the network, before the last block of c4, where the GC paper compares it with one non-local block.
    "snl": Attention(output=SimplifiedNonLocal, stages=next_to_last, blocks=next_to_last, paper=GC_PAPER),
    # These two replace the 3x3 convolution.
    "sk": Attention(spatial_conv=as_conv(SelectiveKernel), paper=SK_PAPER),
    "splat": Attention(spatial_conv=as_conv(SplitAttention), paper=SPLIT_PAPER),
    # The authors give two places. The printed sizes and the reference's counts fit the first of them: the end of the
    # residual branch of each stage's first block. The other is position="stage_input".
    "c3": Attention(residual=c3, blocks=first, paper=C3_PAPER),
    # The AFI paper's Table 9: the second mechanism stands on the result R of every AFI module.
    "afi": Attention(first_conv=AFIConv, partners=(("residual", "integrated"),), paper=AFI_PAPER),
    "abn": Attention(tail=attention_branch, paper=ABN_PAPER),
    "lka": Attention(residual=LargeKernelAttention, paper=LKA_PAPER),
    "ema": Attention(residual=EfficientMultiScaleAttention, paper=EMA_PAPER),
    "polarized": Attention(inner=PolarizedSelfAttention, paper=POLARIZED_PAPER),
    "strip": Attention(inner=StripPooling, blocks_of_stages=ends_and_last_stage, paper=STRIP_PAPER),
    # Between blocks, as NL: residual blocks themselves.
    "a2": Attention(output=DoubleAttention, stages=middle_two, blocks=spread, paper=A2_PAPER),
    "bat": Attention(
        output=BilinearAttentionTransform, stages=middle_two, blocks_of_stages=halves_and_thirds, paper=BAT_PAPER
    ),
    # In place of the 3x3 convolution, whose normalisation and activation follow it.
    "mhsa": Attention(spatial_conv=as_bare_conv(MultiHeadSelfAttention2D), stages=last_stage, paper=BOTNET_PAPER),
}
# Combinations that papers print, which the catalogue lists; any other is built by its name all the same.
PRINTED = ("afi_se", "afi_cbam", "afi_eca", "afi_ge")
