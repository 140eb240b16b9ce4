"""DenseNet: each mechanism has its place in the dense blocks."""

import pytest
from support.models import assert_probabilities, integrated_maps, short

from kattn.zoo import create
from kattn.zoo.backbones import densenet

PLAIN = densenet.cifar(16, 12)  # four layers a dense block


@pytest.fixture(scope="module")
def afi():
    return short("afi", PLAIN, input_shape=(8, 8, 3))


def test_afi_halves_each_layers_convolution_but_the_first(afi):
    convs = [afi.get_layer(f"stage2_block{block}_conv1") for block in (1, 2, 4)]
    assert [conv.filters for conv in convs] == [12, 6, 6]
    assert [len(integrated_maps(afi, f"stage2_block{block}_conv1")) for block in (2, 4)] == [2, 4]


def test_afi_starts_anew_in_each_dense_block(afi):
    assert len(integrated_maps(afi, "stage3_block2_conv1")) == 2
    assert afi.get_layer("stage3_block4_append").output.shape[-1] == 16 + 3 * 4 * 12


def test_with_bottlenecks_afi_halves_the_1x1_convolution():
    model = short("afi", densenet.imagenet(2, 1, 1, 1), input_shape=(32, 32, 3))
    conv = model.get_layer("stage1_block2_conv1")
    assert conv.kernel_size == (1, 1) and conv.filters == 64
    assert [channels for *_, channels in integrated_maps(model, "stage1_block2_conv1")] == [64, 64]


def test_bam_stands_before_the_transitions_and_abn_copies_the_last_dense_block():
    model = short("bam", PLAIN, input_shape=(8, 8, 3))
    assert model.get_layer("stage2_bottleneck_attention").output.shape[-1] == 16 + 2 * 4 * 12
    model = short("abn", PLAIN, input_shape=(8, 8, 3), attention_map=True)
    assert tuple(model.output["attention_map"].shape) == (None, 2, 2, 1)
    copied = [layer.name for layer in model.layers if layer.name.startswith("attention_stage3")]
    assert "attention_stage3_block4_append" in copied and not any("transition" in name for name in copied)


def test_there_is_nothing_inside_the_branch_behind_its_3x3_convolution():
    with pytest.raises(ValueError, match="stand at inner, but its blocks have no 3x3 convolution that is followed"):
        create("se_densenet40_k12", position="inner")


def test_odd_sizes_give_probabilities():
    assert_probabilities(short("abn", PLAIN, input_shape=(9, 12, 3)), (9, 12))
