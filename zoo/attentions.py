"""The table of attentions: which factory stands at which site. A combination is a row, not code."""

from __future__ import annotations

from kattn.attention import Attention
from kattn.layers.bottleneck_attention import BottleneckAttention
from kattn.layers.cbam import CBAM
from kattn.layers.global_context import GlobalContext
from kattn.layers.squeeze_excite import SqueezeExcite
from kattn.zoo.abn import attention_branch
from kattn.zoo.afi import AFIConv

SE_PAPER = "Hu, Shen, Sun. Squeeze-and-Excitation Networks. CVPR 2018. arXiv:1709.01507"
CBAM_PAPER = "Woo, Park, Lee, Kweon. CBAM: Convolutional Block Attention Module. ECCV 2018. arXiv:1807.06521"
BAM_PAPER = "Park, Woo, Lee, Kweon. BAM: Bottleneck Attention Module. BMVC 2018. arXiv:1807.06514"
GC_PAPER = "Cao, Xu, Lin, Wei, Hu. GCNet. ICCVW 2019. arXiv:1904.11492"
AFI_PAPER = "Pan, Xu, Pan, Wen, Lin, Bai, Xu. AFINet: Attentive Feature Integration Networks. 2021"
ABN_PAPER = "Fukui, Hirakawa, Yamashita, Fujiyoshi. Attention Branch Network. CVPR 2019. arXiv:1812.10025"


def last_three(stage: int, count: int) -> bool:
    """GC's "all": c3, c4 and c5 of a network with stages c2 to c5, all stages of one with three."""
    return stage > count - 3


ATTENTIONS: dict[str, Attention] = {
    "none": Attention(),
    "se": Attention(residual=SqueezeExcite, paper=SE_PAPER),
    "cbam": Attention(residual=CBAM, paper=CBAM_PAPER),
    "bam": Attention(between_stages=BottleneckAttention, paper=BAM_PAPER),
    "gc": Attention(residual=GlobalContext, stages=last_three, paper=GC_PAPER),
    "afi": Attention(first_conv=AFIConv, paper=AFI_PAPER),
    "afi_se": Attention(first_conv=AFIConv, integrated=SqueezeExcite, paper=AFI_PAPER),
    "afi_cbam": Attention(first_conv=AFIConv, integrated=CBAM, paper=AFI_PAPER),
    "abn": Attention(tail=attention_branch, paper=ABN_PAPER),
}
