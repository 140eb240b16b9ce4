"""An argument that cannot be right is refused when it is given, with what was most likely meant."""

import functools
import inspect

import keras
import pytest
from support.layer_cases import CASES, layer_of

import kattn
from kattn.layers.pieces.aggregated_bottleneck import AggregatedBottleneck
from kattn.layers.pieces.pre_activation import PreActivationBottleneck
from kattn.zoo.networks.super_resolution import rcan, san

REDUCING = [
    (name, argument)
    for name in CASES
    for argument in inspect.signature(type(layer_of(name)).__init__).parameters
    if argument.endswith("reduction")
]


@pytest.mark.parametrize(("name", "argument"), REDUCING)
@pytest.mark.parametrize("value", [0, -4])
def test_a_layer_refuses_to_divide_its_channels_by_nothing(name, argument, value):
    with pytest.raises(ValueError, match=rf"{argument}.*Received: .*{argument}={value}"):
        layer_of(name, **{argument: value})


def test_there_are_such_layers():
    assert len(REDUCING) >= 20


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        (0, "reduction=1 keeps the width"),
        (1 / 16, "for a ratio of 0.0625 write reduction=16"),
        (16.0, "for 16.0 write reduction=16"),
        (True, "reduction=1 keeps the width"),
        (None, "reduction=1 keeps the width"),
    ],
)
def test_the_message_says_what_was_meant(value, meant):
    with pytest.raises(ValueError, match=rf"reduction must be an integer of at least 1.*{meant}"):
        kattn.layers.SqueezeExcite(reduction=value)


@pytest.mark.parametrize("layer", [AggregatedBottleneck, PreActivationBottleneck])
def test_pieces_refuse_it_too(layer):
    with pytest.raises(ValueError, match="reduction must be an integer of at least 1"):
        layer(32, reduction=0)


@pytest.mark.parametrize("name", ["se", "cbam", "bam", "gc", "ge", "nl", "c3", "afi", "afi_se", "sk", "splat"])
def test_builders_refuse_it_before_anything_is_trained(name):
    with pytest.raises(ValueError, match="reduction"):
        kattn.zoo.create(f"{name}_resnet20", reduction=0)


@pytest.mark.parametrize("divisor", [0, -8, 8.0, True])
def test_a_divisor_is_a_whole_number(divisor):
    with pytest.raises(ValueError, match=r"divisor must be None or an integer of at least 1\. Received: divisor="):
        kattn.layers.SqueezeExcite(divisor=divisor)


BUILDERS = {
    "resnet20": kattn.zoo.resnet20,
    "se_mobilenet_v2": kattn.zoo.se_mobilenet_v2,
    "abn_densenet121": kattn.zoo.create,
    "rcan": rcan,
    "san": san,
    "spatial_transformer": kattn.zoo.spatial_transformer,
    "segmentation": functools.partial(kattn.zoo.criss_cross, backbone="resnet50"),
}


@pytest.mark.parametrize("name", BUILDERS)
@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28), (4, 64, 48)])
def test_channels_before_the_sizes_are_refused_with_the_right_order(name, shape):
    build = BUILDERS[name]
    leading = (name,) if build is kattn.zoo.create else ()
    first, height, width = shape
    meant = rf"input_shape=\({height}, {width}, {first}\)"
    with pytest.raises(ValueError, match=rf"looks like \(channels, height, width\): write {meant}"):
        build(*leading, input_shape=shape)


def test_a_low_image_is_built_on_a_tensor_of_its_own():
    image = keras.Input((3, 64, 8))
    assert kattn.zoo.resnet20(input_tensor=image, depths=(1, 1, 1)).input_shape == (None, 3, 64, 8)
    assert kattn.zoo.resnet20(input_shape=(3, 3, 3), depths=(1, 1, 1)).input_shape == (None, 3, 3, 3)
