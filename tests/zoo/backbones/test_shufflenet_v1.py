"""ShuffleNet V1: its units, and AFI fits its groups."""

import pytest
from support.models import assert_probabilities, integrated_maps, layers_of

from kattn.zoo import create


@pytest.fixture(scope="module")
def afi():
    return create("afi_shufflenet_g2_cifar", input_shape=(16, 16, 3))


def test_only_a_stages_first_unit_concatenates_its_shortcut(afi):
    names = [name for name in layers_of(afi, "Concatenate") if not name.endswith("conv1_concat")]
    assert names == [f"stage{i}_block1_concat" for i in (1, 2, 3)]
    assert tuple(afi.get_layer("stage2_block1_concat").output.shape) == (None, 4, 4, 400)


def test_afi_keeps_a_units_width_where_the_groups_do_not_divide_half_of_it(afi):
    """25 of 50 channels are no two groups: R has 24, X the other 26."""
    assert {channels for *_, channels in integrated_maps(afi, "stage1_block4_conv1")} == {24}
    assert afi.get_layer("stage1_block4_conv1").filters == 26
    assert afi.get_layer("stage1_block4_conv1_concat").output.shape[-1] == 50


def test_open_and_odd_sizes_give_probabilities():
    assert_probabilities(create("abn_shufflenet_g2", input_shape=(None, None, 3), classes=5), (35, 21))


def test_grey_images_and_features_without_the_top():
    model = create("shufflenet_g2_cifar", include_top=False, pooling="avg", input_shape=(16, 16, 1))
    assert tuple(model.output.shape) == (None, 800)
    assert tuple(model.get_layer("stem_conv").kernel.shape) == (1, 1, 1, 24)
