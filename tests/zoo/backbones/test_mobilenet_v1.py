"""MobileNet v1: widths, padding, and what has no place."""

import pytest
from support.models import assert_probabilities

from kattn.zoo import create


def test_alpha_rounds_down():
    model = create("mobilenet_v1", alpha=0.7, input_shape=(32, 32, 3))
    widths = [model.get_layer(f"stage{stage}_block1_conv1").filters for stage in range(1, 6)]
    assert [model.get_layer("stem_conv").filters, *widths] == [22, 44, 89, 179, 358, 716]


def test_a_width_never_reaches_zero():
    assert create("afi_mobilenet_v1", alpha=0.01, input_shape=(32, 32, 3)).get_layer("stem_conv").filters == 1
    with pytest.raises(ValueError, match="alpha must be above 0"):
        create("mobilenet_v1", alpha=0)


def test_the_strided_depthwise_convolution_pads_on_both_sides():
    model = create("mobilenet_v1", input_shape=(32, 32, 3))
    layer = model.get_layer("stage2_block1_depthwise")
    assert layer.strides == (2, 2) and layer.padding == "valid"
    assert model.get_layer("stage2_block1_depthwise_pad").padding == ((1, 1), (1, 1))


def test_what_replaces_a_3x3_convolution_has_no_place():
    with pytest.raises(ValueError, match=r"sk has no place in mobilenet_v1: .*no dense 3x3 convolution"):
        create("sk_mobilenet_v1")


@pytest.mark.parametrize("attention", ["afi", "abn"])
def test_odd_widths_give_probabilities(attention):
    assert_probabilities(create(f"{attention}_mobilenet_v1", alpha=0.35, input_shape=(33, 40, 3)), (33, 40))
