import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from kattn.layers import ResidualBlock


def image(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def test_behaves_as_a_layer_should(check_layer):
    check_layer(ResidualBlock(batch_norm=True, residual_scale=0.5), image(2, 5, 4, 6))


def test_parameters_are_the_published_count():
    layer = ResidualBlock()
    layer.build((None, 8, 8, 64))
    assert layer.count_params() == 73_856


@settings(max_examples=8, deadline=None, derandomize=True)
@given(st.integers(3, 8), st.integers(3, 8), st.sampled_from([1, 3, 5]), st.booleans(), st.floats(0, 2))
def test_the_branch_is_scaled_and_added(height, width, kernel_size, use_bias, scale):
    x = image(1, height, width, 3)
    layer = ResidualBlock(kernel_size, use_bias, residual_scale=scale)
    y = ops.convert_to_numpy(layer(x))
    branch = ops.convert_to_numpy(layer.conv2(ops.relu(layer.conv1(x))))
    np.testing.assert_allclose(y, x + scale * branch, atol=1e-5)


def test_an_even_kernel_is_refused():
    with pytest.raises(ValueError, match="kernel_size must be odd"):
        ResidualBlock(kernel_size=4)
