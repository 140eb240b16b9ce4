"""Wide ResNets have the published sizes and widen what their papers widen."""

import pytest
from support.models import assert_probabilities, assert_published, rows_of, trainable

from kattn.zoo import create

ROWS = rows_of("wide_resnet20_10", "wide_resnet28_10", "wide_resnet18_w15", "wide_resnet18_w20")
SMALL = ("c3_wide_resnet20_10(classes=100)", "bam_wide_resnet18_w15()")


@pytest.mark.parametrize("row", [r for r in ROWS if r["call"] in SMALL], ids=lambda row: row["call"])
def test_parameters_and_macs_are_the_published_ones(row):
    assert_published(row)


@pytest.mark.slow
@pytest.mark.parametrize("row", [r for r in ROWS if r["call"] not in SMALL], ids=lambda row: row["call"])
def test_parameters_and_macs_of_the_rest_are_the_published_ones(row):
    assert_published(row)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("wide_resnet16_8", 10_961_370),  # 11.0 M in the paper
        ("wide_resnet40_4", 8_949_210),  # 8.9 M
        ("wide_resnet28_10", 36_479_194),  # 36.5 M
        ("wide_resnet50_2", 68_883_240),  # torchvision
        ("wide_resnet101_2", 126_886_696),
    ],
)
def test_forms_without_a_row_have_their_known_sizes(name, parameters):
    assert trainable(create(name)) == parameters


def test_the_imagenet_forms_keep_the_stem_and_the_outer_width_of_bottlenecks():
    wide = create("wide_resnet50_2", input_shape=(32, 32, 3), include_top=False)
    assert [wide.get_layer(f"stage1_block1_conv{i}").filters for i in (1, 2, 3)] == [128, 128, 256]
    wide = create("wide_resnet18_w15", input_shape=(32, 32, 3), include_top=False)
    assert wide.get_layer("stem_conv").filters == 64 and wide.output.shape[-1] == 768


def test_abn_copies_the_last_pre_activation_stage_at_stride_1():
    model = create("abn_wide_resnet16_8", input_shape=(12, 12, 3), attention_map=True)
    assert tuple(model.output["attention_map"].shape) == (None, 6, 6, 1)
    for name, strides in (("attention_stage3_block1", (1, 1)), ("stage3_block1", (2, 2))):
        assert model.get_layer(f"{name}_conv1").strides == model.get_layer(f"{name}_shortcut").strides == strides


@pytest.mark.parametrize("attention", ["cbam_", "afi_", "c3_"])
def test_it_gives_probabilities(attention):
    assert_probabilities(f"{attention}wide_resnet16_8", (9, 12))
