"""Wide ResNets widen what their papers widen."""

from support.models import assert_probabilities

from kattn.zoo import create


def test_the_imagenet_forms_keep_the_stem_and_the_outer_width_of_bottlenecks():
    short = {"depths": (1, 1, 1, 1), "input_shape": (32, 32, 3), "include_top": False}
    wide = create("wide_resnet50_2", **short)
    assert [wide.get_layer(f"stage1_block1_conv{i}").filters for i in (1, 2, 3)] == [128, 128, 256]
    wide = create("wide_resnet18_w15", **short)
    assert wide.get_layer("stem_conv").filters == 64 and wide.output.shape[-1] == 768


def test_abn_copies_the_last_pre_activation_stage_at_stride_1():
    model = create("abn_wide_resnet16_8", input_shape=(12, 12, 3), attention_map=True)
    assert tuple(model.output["attention_map"].shape) == (None, 6, 6, 1)
    for name, strides in (("attention_stage3_block1", (1, 1)), ("stage3_block1", (2, 2))):
        assert model.get_layer(f"{name}_conv1").strides == model.get_layer(f"{name}_shortcut").strides == strides


def test_odd_sizes_give_probabilities():
    assert_probabilities(create("afi_wide_resnet16_8", input_shape=(9, 12, 3)), (9, 12))
