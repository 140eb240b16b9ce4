"""ShuffleNet V1 has the published sizes, and AFI fits its groups."""

import numpy as np
import pytest
from support.models import assert_published, layers_of, pixels, rows_of

import kattn
from kattn.zoo import create


@pytest.mark.parametrize("row", rows_of("shufflenet_g2_cifar", "shufflenet_g3_cifar"), ids=lambda row: row["call"])
def test_parameters_and_macs_are_the_published_ones(row):
    assert_published(row)


@pytest.mark.slow
@pytest.mark.parametrize(("groups", "complexity"), [(2, 140), (3, 137)])
def test_imagenet_forms_have_the_papers_complexity(groups, complexity):
    """Table 1 of the paper, in millions of multiply-adds, rounded down."""
    assert kattn.profile(create(f"shufflenet_g{groups}")).macs // 10**6 == complexity


def test_only_a_stages_first_unit_concatenates():
    model = create("shufflenet_g3_cifar", input_shape=(16, 16, 3))
    assert layers_of(model, "Concatenate") == [f"stage{i}_block1_concat" for i in (1, 2, 3)]
    assert tuple(model.get_layer("stage2_block1_concat").output.shape) == (None, 4, 4, 480)


def test_afi_keeps_a_units_width_where_the_groups_do_not_divide_half_of_it():
    """25 of 50 channels are no two groups: R has 24, X the other 26."""
    model = create("afi_shufflenet_g2_cifar", input_shape=(16, 16, 3))
    assert {x.shape[-1] for x in model.get_layer("stage1_block4_conv1_integrate").input} == {24}
    assert model.get_layer("stage1_block4_conv1").filters == 26
    assert model.get_layer("stage1_block4_conv1_concat").output.shape[-1] == 50


def test_open_and_odd_sizes_give_probabilities():
    outputs = create("abn_shufflenet_g2", input_shape=(None, None, 3), classes=5)(pixels((2, 35, 21, 3)))
    for y in outputs.values():
        np.testing.assert_allclose(np.asarray(y).sum(-1), 1, rtol=1e-5)


def test_grey_images_and_features_without_the_top():
    model = create("shufflenet_g2_cifar", include_top=False, pooling="avg", input_shape=(16, 16, 1))
    assert tuple(model.output.shape) == (None, 800)
    assert tuple(model.get_layer("stem_conv").kernel.shape) == (1, 1, 1, 24)
