import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.layer_checks import PROPERTY, build, image, randomise, run

from kattn.layers.pieces.pointwise import PointwiseConv2D


def test_behaves_as_a_layer_should(check_layer):
    check_layer(PointwiseConv2D(5, 1, activation="relu"), image(2, 1, 1, 8))


@PROPERTY
@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 9), st.booleans())
def test_gives_the_numbers_of_a_convolution_at_every_size(height, width, filters, use_bias):
    x = image(2, height, width, 3)
    layer = build(PointwiseConv2D(filters, 1, use_bias=use_bias), x)
    randomise(layer)
    plain = build(keras.layers.Conv2D(filters, 1, use_bias=use_bias), x)
    plain.set_weights(layer.get_weights())
    np.testing.assert_allclose(run(layer, x)[0], run(plain, x)[0], atol=1e-5)


@pytest.mark.parametrize("options", [{"kernel_size": (1, 3)}, {"kernel_size": 1, "strides": (1, 2)}])
def test_any_other_kernel_or_stride_stays_a_convolution(options):
    x = image(2, 1, 6, 3)
    layer = build(PointwiseConv2D(4, **options), x)
    plain = build(keras.layers.Conv2D(4, **options), x)
    plain.set_weights(layer.get_weights())
    np.testing.assert_allclose(run(layer, x)[0], run(plain, x)[0], atol=1e-5)
