"""Convolutions pad as the references do."""

import keras
import numpy as np
import pytest

from kattn.zoo.grammar.convolutions import conv, conv_bn, depthwise_bn


def layers(build, size=8):
    x = keras.Input((size, size, 4))
    return keras.Model(x, build(x)).layers[1:]


@pytest.mark.parametrize(
    ("padding", "strides", "kinds", "size"),
    [
        ("same", 1, ["Conv2D"], 8),
        ("same", 2, ["ZeroPadding2D", "Conv2D"], 4),
        ("end", 2, ["Conv2D"], 4),
        ("valid", 2, ["Conv2D"], 3),
    ],
)
def test_padding(padding, strides, kinds, size):
    found = layers(lambda x: conv(x, 2, 3, strides, padding=padding, name="c"))
    assert [type(layer).__name__ for layer in found] == kinds and found[-1].output.shape[1] == size


def test_a_strided_convolution_sees_as_many_zeros_on_each_side():
    """Of ones, the corners of the map see four pixels where it is padded on both sides, nine in the middle."""
    x = keras.Input((5, 5, 1))
    model = keras.Model(x, conv(x, 1, 3, 2, name="c"))
    model.get_layer("c").set_weights([np.ones((3, 3, 1, 1))])
    y = keras.ops.convert_to_numpy(model(np.ones((1, 5, 5, 1))))[0, :, :, 0]
    np.testing.assert_array_equal(y, [[4, 6, 4], [6, 9, 6], [4, 6, 4]])


def test_kinds():
    names = [type(layer).__name__ for layer in layers(lambda x: conv_bn(x, 4, 3, groups=2, activation=None, name="c"))]
    assert names == ["GroupedConv2D", "BatchNormalization"]
    found = layers(lambda x: conv_bn(x, 2, 3, separable=True, norm=False, name="c"))
    assert [type(layer).__name__ for layer in found] == ["SeparableConv2D"]
    found = layers(lambda x: depthwise_bn(x, 3, 2, name="d"))
    assert [layer.name for layer in found] == ["d_pad", "d", "d_bn", "d_relu"]
