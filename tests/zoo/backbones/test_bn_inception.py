"""BN-Inception: SE stands behind every module, BAM at strides 4, 8 and 16."""

from support.models import assert_probabilities, layers_of

from kattn.zoo import create


def test_se_stands_behind_every_module_and_odd_and_open_sizes_give_probabilities():
    model = create("se_bn_inception", input_shape=(None, None, 3), classes=4)
    widths = [model.get_layer(name).output.shape[-1] for name in layers_of(model, "SqueezeExcite")]
    assert widths == [256, 320, 576, 576, 576, 608, 608, 1056, 1024, 1024]
    assert_probabilities(model, (75, 53))


def test_bam_stands_at_strides_4_8_and_16():
    model = create("bam_bn_inception", input_shape=(64, 64, 3))
    maps = [tuple(model.get_layer(name).output.shape[1:]) for name in layers_of(model, "BottleneckAttention")]
    assert maps == [(16, 16, 192), (8, 8, 320), (4, 4, 608)]
