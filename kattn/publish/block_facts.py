"""What `docs/blocks.md` says of each block beside its docstring: family, count, place, paper against code."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Facts:
    """One block's row.

    Attributes:
        parameters: Trainable parameters as an expression of C channels, H and W and of what `given` defines. Tests
            compare its value with the built layer.
        where: Where the authors put the block.
        differs: What paper and code do otherwise, and which of it is the default here.
        options: Arguments for which the page's numbers are counted, where the defaults do not do.
        given: Names in `parameters` and their expressions, in the order in which they are needed.
        inputs: Shapes of the inputs, as expressions, where there are several.
    """

    parameters: str
    where: str
    differs: str
    options: dict[str, Any] = field(default_factory=dict)
    given: dict[str, str] = field(default_factory=dict)
    inputs: tuple[str, ...] = ("H, W, C",)


BEFORE_ADD = "End of every residual branch, before the sum with the shortcut."
CRISS_CROSS = "2*(i*h + h) + i**2 + i + 1"
GATE = "2*C*h + h + C"
GATED = {"h": "C//16"}
GROUP = "2*b*(9*C**2 + C) + 9*C**2 + C"
NOT_PUBLISHED = "No code of the authors."
POSITION = "2*(C*h + h) + C**2 + C + 1"
SUPER_RESOLUTION = "Body of a super-resolution network, at the low resolution."

FAMILIES: dict[str, dict[str, Facts]] = {
    "Classification": {
        "se": Facts(
            GATE,
            BEFORE_ADD + " The paper also tries the branch's input, after the 3x3 convolution, the shortcut and after "
            "the sum: the zoo's `position`.",
            "The journal version recommends no biases; the released definitions have them, and so has the default.",
            given=GATED,
        ),
        "eca": Facts(
            "k",
            BEFORE_ADD,
            "The paper sets the kernel size by a rule, the default here; the code takes it as an argument, 3 unless "
            "told.",
            given={"k": "int((log2(C) + 1)/2) | 1"},
        ),
        "ge": Facts(
            "C*(H*W + 2)",
            BEFORE_ADD,
            "Only the forms with a global extent are released. How the paper's pooling counts its padding is not said: "
            "here it does not count.",
        ),
        "cbam": Facts(
            GATE + " + 2*7**2 + 2",
            BEFORE_ADD,
            "The paper's spatial gate has no normalisation and its MLP no biases; the code has both, and so has the "
            "default (`spatial_norm`, `use_bias`). The code's input order is maximum, mean.",
            given=GATED,
        ),
        "bam": Facts(
            "(C*h + 3*h + h*C + C) + (C*h + 3*h + 2*(9*h**2 + 3*h) + h + 1)",
            "Between the stages: after the first, second and third stage.",
            "The paper adds the two descriptions and normalises both; the code multiplies them and does not "
            "(`combine`, `final_norm`). The default is the code, to which the published counts belong.",
            given=GATED,
        ),
        "gc": Facts(
            "C + 1 + 2*C*h + 3*h + C",
            BEFORE_ADD + " The paper's best has it in all blocks of the last three stages.",
            "None in the block; the authors' code gives the width as a ratio.",
            given=GATED,
        ),
        "snl": Facts(
            "C + 1 + C**2 + C",
            "As `nl`: one block in the fourth stage.",
            "A step on the way to `gc` in the paper. " + NOT_PUBLISHED,
        ),
        "nl": Facts(
            "3*(C*i + i) + i*C + C + 2*C",
            "Between residual blocks: in a ResNet-50 after every second block of the third and fourth stage.",
            "The code divides the logits by the root of the width and pools before the convolutions; the paper's "
            "equation and the usual port do neither (`use_scale`, `pool_first`). The default is the code.",
            given={"i": "C//2"},
        ),
        "c3": Facts(
            "2*(2*a*e + a + e) + 2*a",
            "The input of each stage of a CIFAR ResNet.",
            "The paper's figure has a plain sum, both official files a ReLU after it. One normalises and stops the "
            "gradient of the means (the default), the one that the released models import does neither (`use_norm`, "
            "`detach`).",
            given={"a": "H*W", "e": "a//8"},
        ),
        "sk": Facts(
            "2*(9*C*C//32 + 2*C) + C*d + 2*d + 2*d*C",
            "In place of the 3x3 convolution of a ResNeXt bottleneck; carries its stride.",
            "SKNet-101's definition has a hidden width below the paper's lower limit of 32 in one stage.",
            options={"filters": "C"},
            given={"d": "max(C//16, 32)"},
        ),
        "splat": Facts(
            "9*C**2 + 4*C + (C*i + i) + 2*i + 2*(i*C + C)",
            "In place of the 3x3 convolution and its normalisation.",
            "None in the block. The released networks pool after it where it has a stride (`average_down`).",
            options={"filters": "C"},
            given={"i": "max(2*C//4, 32)"},
        ),
        "ran": Facts(
            "(6 + 3*(d - 1))*(2*C*m + 9*m**2 + 2*C + 4*m) + 2*C**2 + 4*C",
            "The network is made of it: one to three such modules a stage, depth 3, 2 and 1 from 56x56 to 14x14.",
            "The released network has the mixed activation only. The usual port adds a map on the way up that the "
            "graph uses for its size alone; this layer does not.",
            options={"depth": 2},
            given={"d": "2", "m": "C//4"},
        ),
        "ran_next": Facts(
            "(6 + 3*(d - 1))*(2*C*w + 9*w**2//32 + 4*w + 2*C) + 2*C**2 + 2*C",
            "As `ran`, in AttentionNeXt.",
            "As `ran`.",
            options={"depth": 2},
            given={"d": "2", "w": "C//2"},
        ),
        "stn": Facts(
            "n*(H*W*C + 1) + 6*n + 6",
            "In front of a network, or on any of its maps.",
            "The paper leaves open what -1 and 1 mean; `align_corners=False` is PyTorch's reading. " + NOT_PUBLISHED,
            given={"n": "32"},
        ),
        "stn_sampler": Facts(
            "0",
            "As `stn`, with a localisation network of one's own.",
            "As `stn`.",
            inputs=("H, W, C", "6,"),
        ),
        "abn": Facts(
            "2*C + C*K + 2*K + K**2 + 9*K + 2",
            "Behind a copy of the last stage at stride 1; its map gates that stage's input.",
            "The paper makes the map by a 1x1 convolution, the code, the default, by a 3x3 and a normalisation "
            "(`map_kernel_size`, `map_norm`).",
            options={"classes": "100"},
            given={"K": "100"},
        ),
        "afi": Facts(
            "2*C*(C//4)",
            "Second and later blocks of a stage: the first convolution gives half the maps, this the other half from "
            "those of the blocks before.",
            NOT_PUBLISHED,
            inputs=("H, W, C", "H, W, C", "H, W, C"),
        ),
    },
    "Generation": {
        "sagan": Facts(
            POSITION,
            "64x64 images, PyTorch form: in the generator after 16x16 and 32x32, in the discriminator at 8x8 and 4x4.",
            'Three blocks share the name: the usual PyTorch copy (default), the authors\' release (`form="release"`: '
            "values of half the width, keys and values pooled, an output convolution) and the paper "
            '(`form="paper"`: values of an eighth, an output convolution).',
            given={"h": "C//8"},
        ),
        "sanet": Facts(
            "4*(C**2 + C)",
            "Between a fixed VGG-19 encoder and a decoder, on relu4_1 or relu5_1 of content and style.",
            "The paper says mean-variance normalised; the port divides the variance by N - 1, the default "
            "(`unbiased`). " + NOT_PUBLISHED,
            inputs=("H, W, C", "H, W, C"),
        ),
        "sanet_multi": Facts(
            "8*(C**2 + C) + 9*C**2 + C",
            "As `sanet`, on both levels.",
            "As `sanet`.",
            inputs=("H, W, C", "H, W, C", "H//2, W//2, C", "H//2, W//2, C"),
        ),
    },
    "Segmentation": {
        "psa": Facts(
            "2*(C*m + 2*m + m**2 + 2*m + m*(2*h - 1)*(2*w - 1)) + 2*m*C + 2*C",
            "Once, on the last stage of a backbone of stride 8, in front of the classifier.",
            "The paper weighs by 1 / N without a softmax; the code, the default, has the softmax and no factor "
            "(`softmax`, `normalization`).",
            given={"m": "512", "h": "(H - 1)//2 + 1", "w": "(W - 1)//2 + 1"},
        ),
        "encoding": Facts(
            "K*C + K",
            "Inside `context_encoding`; in Deep TEN in place of the pooling before the classifier.",
            "None known.",
            given={"K": "32"},
        ),
        "context_encoding": Facts(
            "C**2 + 2*C + K*C + 3*K + C**2 + C",
            "On a 3x3 convolution of the last stage (stride 8), in front of the classifier.",
            "The paper sums the codewords' encodings and gates x; the code, the default, averages and gives relu(x + "
            "x * gate) (`aggregate`, `residual`). The paper has a second loss on the stage before.",
            given={"K": "32"},
        ),
        "object_attention": Facts(
            "2*(C*k + k) + 2*k + k*C + C",
            "Inside the three below.",
            "The 2018 text and code agree; the revision of 2021 replaces it by an interlaced sparse attention.",
            given={"k": "C//2"},
        ),
        "object_context": Facts(
            "2*(C*k + k) + 2*k + k*C + C + 2*C*C + C + 2*C",
            "On a 3x3 convolution of the last stage (stride 8), in front of the classifier.",
            "As `object_attention`.",
            given={"k": "C//2"},
        ),
        "object_context_asp": Facts(
            "9*C*F + 3*F + F*k + 3*k + 2*(F**2 + F) + F**2 + 3*F + C*F + 2*F + 3*(9*C*F + 2*F) + 10*F**2 + 4*F",
            "As `object_context`.",
            "As `object_attention`.",
            given={"F": "256", "k": "F//2"},
        ),
        "object_context_pyramid": Facts(
            "S*(C*k + 3*k + 2*(C**2 + C)) + S*C*C + 3*S*C + 2*S*C*C + 3*C",
            "As `object_context`.",
            "As `object_attention`.",
            given={"S": "4", "k": "C//2"},
        ),
        "danet_position": Facts(
            POSITION,
            "Inside `danet`.",
            "The paper's text normalises and activates queries and keys and draws them with all channels; the code, "
            "the default, has plain convolutions to an eighth (`reduction`).",
            given={"h": "C//8"},
        ),
        "danet_channel": Facts(
            "1",
            "Inside `danet`.",
            "The paper has softmax(E), the code, the default, softmax(-E): channels attend to those least like them "
            "(`negate`).",
        ),
        "danet": Facts(
            "2*(9*C*i + 2*i) + (2*(i*h + h) + i**2 + i + 1) + 1 + 2*(9*i**2 + 2*i) + 3*n*(i + 1)",
            "The segmentation head on the last stage (stride 8).",
            "As `danet_channel` and `danet_position`.",
            options={"classes": "19"},
            given={"i": "C//4", "h": "i//8", "n": "19"},
        ),
        "ccnet": Facts(
            CRISS_CROSS,
            "Inside `ccnet_head`, twice with the same weights.",
            "The paper has no factor gamma, the code a learned one that starts at 0, the default (`gamma`).",
            given={"i": "C", "h": "C//8"},
        ),
        "ccnet_head": Facts(
            f"9*C*i + 2*i + ({CRISS_CROSS}) + 9*i**2 + 2*i + 9*(C + i)*i + 2*i + i*n + n",
            "The segmentation head on the last stage (stride 8).",
            "As `ccnet`. The code's classifier takes 512 channels whatever the width.",
            options={"classes": "19"},
            given={"i": "C//4", "h": "i//8", "n": "19"},
        ),
    },
    "Restoration": {
        "rcan_ca": Facts(GATE, "Inside `rcab`.", "None; it is `se`.", given=GATED),
        "rcab": Facts(
            "2*(9*C**2 + C) + " + GATE,
            "Inside `rcan`.",
            "The code takes a residual scale and ignores it; here it works and is 1 (`residual_scale`).",
            given=GATED,
        ),
        "rcan": Facts(
            "b*(2*(9*C**2 + C) + " + GATE + ") + 9*C**2 + C",
            SUPER_RESOLUTION + " Ten groups of 20 blocks.",
            "As `rcab`.",
            options={"blocks": 2},
            given={"h": "C//16", "b": "2"},
        ),
        "soca": Facts(
            GATE,
            "Inside `lsrag`.",
            "The code crops sides above 1000 before the covariance, which the paper does not say (`crop`), and gives "
            "NaN on a constant map; here such a map has the gate of a covariance of zero.",
            given=GATED,
        ),
        "rl_nl": Facts(
            "3*(C*j + j) + j*C + C",
            "Inside `san`.",
            "The paper does not pool keys and values; the code does, though it asks not to (`pool`). The default is "
            "what it does.",
            given={"j": "C//8"},
        ),
        "lsrag": Facts(
            GROUP + " + " + GATE,
            "Inside `san`.",
            "The paper's figure has the last convolution in the outer group, the code in this one. A factor that the "
            "code holds and never uses is left out.",
            options={"blocks": 2},
            given={"h": "C//16", "b": "2"},
        ),
        "san": Facts(
            f"g*({GROUP} + {GATE}) + 3*(C*j + j) + j*C + C + 1",
            SUPER_RESOLUTION + " 20 groups of 10 blocks.",
            "The weight of the shared source is a convolution in the paper, one number in the code, the default.",
            options={"groups": 1, "blocks": 2},
            given={"g": "1", "b": "2", "h": "C//16", "j": "C//8"},
        ),
        "rnan_nl": Facts(
            "3*(C*j + j) + j*C + C",
            "Inside `rnab`.",
            "The paper normalises over the keys, the code, the default, over the queries (`softmax_axis`).",
            given={"j": "C//2"},
        ),
        "rab": Facts(
            "18*(9*C**2 + C) + (9*C**2 + C) + (36*C**2 + C) + C**2 + C",
            "Body of a restoration network, eight in a row between two `rnab`.",
            "The paper draws as many blocks at both ends, the code has 1 and 2 (`head_blocks`, `tail_blocks`). The "
            "code fails on odd sizes; here the mask is cut to size.",
        ),
        "rnab": Facts(
            "18*(9*C**2 + C) + (9*C**2 + C) + (36*C**2 + C) + C**2 + C + 3*(C*j + j) + j*C + C",
            "First and last block of a restoration network.",
            "As `rab` and `rnan_nl`.",
            given={"j": "C//2"},
        ),
        "nlm": Facts(
            "0",
            "On an image, as a filter; the ancestor of all attention above.",
            "The 2005 paper weighs the patch by a Gaussian and writes exp(-d / h^2); here the patch is flat and h^2 = "
            "2 sigma^2.",
        ),
    },
}


def facts(name: str) -> Facts:
    """A block's row by its short name."""
    return next(family[name] for family in FAMILIES.values() if name in family)
