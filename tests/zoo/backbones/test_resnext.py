"""ResNeXt: groups and widths."""

import pytest
from support.models import assert_probabilities

from kattn.zoo import create


def test_the_groups_widen_with_the_stages():
    model = create("resnext29_8x64d", input_shape=(8, 8, 3))
    convs = [model.get_layer(f"stage{stage}_block1_conv2") for stage in (1, 2, 3)]
    assert [(conv.groups, conv.filters) for conv in convs] == [(8, 512), (8, 1024), (8, 2048)]


@pytest.mark.parametrize("attention", ["sk", "abn"])
def test_odd_sizes_give_probabilities(attention):
    assert_probabilities(create(f"{attention}_resnext29_32x4d", input_shape=(9, 12, 3)), (9, 12))
