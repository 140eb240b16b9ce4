"""ResNeXt has the published sizes, groups and strides."""

import pytest
from support.models import assert_probabilities, assert_published, rows_of, trainable

from kattn.zoo import create

ROWS = rows_of(*(f"resnext{depth}_32x4d{form}" for depth in (29, 50, 101) for form in ("", "_v1")), "resnext29_8x64d")
SMALL = ("resnext29_32x4d(classes=100)", "afi_resnext29_32x4d(classes=100)")


@pytest.mark.parametrize("row", [r for r in ROWS if r["call"] in SMALL], ids=lambda row: row["call"])
def test_parameters_and_macs_are_the_published_ones(row):
    assert_published(row)


@pytest.mark.slow
@pytest.mark.parametrize("row", [r for r in ROWS if r["call"] not in SMALL], ids=lambda row: row["call"])
def test_parameters_and_macs_of_the_rest_are_the_published_ones(row):
    assert_published(row)


@pytest.mark.slow
def test_64_groups_have_the_size_of_torchvisions_model():
    assert trainable(create("resnext101_64x4d")) == 83_455_272


@pytest.mark.slow
def test_with_selective_kernels_it_is_sknet50():
    assert trainable(create("sk_resnext50_32x4d")) == 27_479_784  # of the authors' prototxt


def test_the_groups_widen_with_the_stages():
    model = create("resnext29_8x64d", input_shape=(8, 8, 3))
    convs = [model.get_layer(f"stage{stage}_block1_conv2") for stage in (1, 2, 3)]
    assert [(conv.groups, conv.filters) for conv in convs] == [(8, 512), (8, 1024), (8, 2048)]


@pytest.mark.parametrize("attention", ["se_", "sk_", "splat_", "abn_"])
def test_it_gives_probabilities(attention):
    assert_probabilities(f"{attention}resnext29_32x4d", (9, 12))
