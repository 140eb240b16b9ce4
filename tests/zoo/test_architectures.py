"""Every published network has the printed parameters and multiply-adds; forms without a row have their known sizes.

`tests/data/architectures.csv` holds what the papers print, checked against other implementations.
"""

import pytest
from support.models import architectures, trainable
from support.sweeps import swept

import kattn
from kattn.zoo import info

ROWS = {row["call"]: (int(row["params"]), int(row["macs"])) for row in architectures()}
LARGE = 4e9  # multiply-adds: larger networks take many seconds to build


def parts(call):
    """The paper of the backbone, and the attention; all combinations (afi_se, afi_cbam, ...) count as one."""
    model = info(call.split("(")[0])
    return model.papers[0], "combination" if "_" in model.attention else model.attention


def quick():
    """The smallest network with each attention, and of each family that these leave out unless it is large."""
    chosen, families, attentions = [], set(), set()
    cheapest_first = sorted(ROWS, key=lambda call: ROWS[call][1])
    for call in cheapest_first:
        family, attention = parts(call)
        if attention not in attentions:
            chosen.append(call)
            families.add(family)
            attentions.add(attention)
    for call in cheapest_first:
        family, _ = parts(call)
        if family not in families and ROWS[call][1] < LARGE:
            chosen.append(call)
            families.add(family)
    return chosen


QUICK = quick()


@pytest.mark.parametrize("call", swept(ROWS, QUICK))
def test_parameters_and_macs_are_the_published_ones(call):
    model = eval(f"kattn.zoo.{call}", {"kattn": kattn})
    assert (trainable(model), kattn.profile(model).macs) == ROWS[call]


def test_every_attention_that_papers_count_is_among_the_quick_ones():
    assert {parts(call)[1] for call in QUICK} == {parts(call)[1] for call in ROWS}
    assert len({parts(call)[0] for call in QUICK}) == 10 and len(QUICK) <= 16


@pytest.mark.parametrize("call", [call for call in ROWS if call.endswith("()")])
def test_the_table_of_models_has_the_published_sizes(call):
    one = info(call.removesuffix("()"))
    assert (one.parameters, one.macs) == ROWS[call]


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("densenet121", 7_978_856),  # torchvision's and keras.applications'
        ("densenet161", 28_681_000),
        ("densenet169", 14_149_480),
        ("densenet201", 20_013_928),
        ("densenet_bc190_k40", 25_624_430),  # 25.6 M in the paper
        # A ResNet-110 less the normalisations of its two shortcuts and a few narrower ones; the authors' CIFAR
        # ResNet-164; ResNet-18 and -50 in the same way.
        ("preact_resnet110", 1_730_522),
        ("preact_resnet164", 1_703_258),
        ("preact_resnet18", 11_687_720),
        ("preact_resnet50", 25_549_352),
        ("resnext101_64x4d", 83_455_272),  # torchvision
        ("shufflenet_v2_x0_5", 1_366_792),  # torchvision
        ("shufflenet_v2_x1_0", 2_278_604),
        ("shufflenet_v2_x1_5", 3_503_624),
        ("shufflenet_v2_x2_0", 7_393_996),
        ("sk_resnext50_32x4d", 27_479_784),  # SKNet-50, the authors' prototxt
        ("vgg19", 143_667_240),  # torchvision
        ("vgg16_bn", 138_365_992),
        ("vgg19_bn", 143_678_248),
        ("wide_resnet16_8", 10_961_370),  # 11.0 M in the paper
        ("wide_resnet28_10", 36_479_194),  # 36.5 M
        ("wide_resnet40_4", 8_949_210),  # 8.9 M
        ("wide_resnet50_2", 68_883_240),  # torchvision
        ("wide_resnet101_2", 126_886_696),
        ("xception", 22_855_952),  # the author's code
        ("eca_resnet50", 25_557_032 + 3 * 5 + 4 * 5 + 6 * 5 + 3 * 7),  # the paper's rule for the kernel, block by block
        ("ge_resnet50", 31_106_600),  # the authors' prototxt
        ("snl_resnet50", 25_557_032 + 1_050_625),
    ],
)
def test_forms_without_a_row_have_their_known_parameters(name, parameters):
    """The table of models is compared with the code in tests/publish/test_catalog.py."""
    assert info(name).parameters == parameters


@pytest.mark.parametrize(("groups", "millions"), [(2, 140), (3, 137)])
def test_shufflenets_imagenet_forms_have_the_papers_complexity(groups, millions):
    """Table 1 of the paper, in millions of multiply-adds, rounded down."""
    assert info(f"shufflenet_g{groups}").macs // 10**6 == millions
