"""Pre-activation ResNet: shared activations, and what AFI sees."""

import pytest
from support.models import assert_probabilities, inputs_of, short

from kattn.zoo.backbones import preact_resnet

BASIC = preact_resnet.imagenet(preact_resnet.basic_block, 1, 2, 1, 1)


@pytest.fixture(scope="module")
def plain():
    return short("none", BASIC, input_shape=(32, 32, 3))


def test_both_paths_share_the_activation_where_the_shape_changes(plain):
    assert inputs_of(plain, "stage2_block1_shortcut") == ["stage2_block1_preact_relu"]
    assert inputs_of(plain, "stage2_block2_add") == ["stage2_block1_add", "stage2_block2_conv2"]


def test_the_first_block_takes_the_stems_activation_and_the_last_sum_is_activated(plain):
    assert inputs_of(plain, "stage1_block1_conv1") == ["stem_pool"]
    assert inputs_of(plain, "stage1_block1_add") == ["stem_pool", "stage1_block1_conv2"]
    assert inputs_of(plain, "C5") == ["finish_relu"]


def test_afi_integrates_activated_maps():
    model = short("afi", preact_resnet.imagenet(preact_resnet.bottleneck, 1, 3, 1, 1), input_shape=(32, 32, 3))
    assert inputs_of(model, "stage2_block3_conv1_integrate")[-1] == "stage2_block2_conv1_relu"


@pytest.mark.parametrize("attention", ["se", "abn"])
def test_odd_sizes_give_probabilities(attention):
    assert_probabilities(short(attention, BASIC, input_shape=(33, 40, 3)), (33, 40))
