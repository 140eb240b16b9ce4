import keras
import numpy as np
import pytest

from kattn.layers.pieces.grouped import WIDE, GroupedConv2D
from kattn.layers.pieces.portable import portable_graphs


def image(channels):
    return np.random.default_rng(0).standard_normal((2, 5, 4, channels)).astype("float32")


@pytest.mark.representative
def test_behaves_as_a_layer_should(check_layer):
    check_layer(GroupedConv2D(6, 3, padding="same", groups=2), image(4))


@pytest.mark.parametrize("options", [{}, {"strides": 2}, {"dilation_rate": 2, "use_bias": False, "activation": "relu"}])
@pytest.mark.parametrize("channels", [8, 2 * WIDE])  # one convolution, and one a group
def test_is_keras_s_own_convolution(channels, options):
    options = {"padding": "same", "groups": 2, "bias_initializer": "normal"} | options
    ours, theirs = GroupedConv2D(6, 3, **options), keras.layers.Conv2D(6, 3, **options)
    x = image(channels)
    ours.build(x.shape)
    theirs.build(x.shape)
    theirs.set_weights(ours.get_weights())
    want = keras.ops.convert_to_numpy(theirs(x))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(ours(x)), want, atol=1e-5)
    with portable_graphs():
        np.testing.assert_allclose(keras.ops.convert_to_numpy(ours(x)), want, atol=1e-5)
