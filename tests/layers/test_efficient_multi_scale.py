import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.layer_checks import PROPERTY, build, check_free_sizes, image, parameters, randomise, run

from kattn.layers import EfficientMultiScaleAttention


def test_behaves_as_a_layer_should(check_layer):
    check_layer(EfficientMultiScaleAttention(4, return_attention=True), image(2, 6, 5, 8))


def test_takes_maps_of_unknown_size():
    check_free_sizes(EfficientMultiScaleAttention(2, return_attention=True), image(2, 5, 7, 8))


@pytest.mark.parametrize(("factor", "count"), [(None, 672), (32, 672), (8, 10_368)])
def test_parameters_are_the_references(factor, count):
    assert parameters(build(EfficientMultiScaleAttention(factor), image(1, 2, 2, 256))) == count


@pytest.mark.parametrize(("channels", "groups"), [(24, 8), (16, 16), (96, 32), (7, 1)])
def test_where_32_does_not_divide_a_smaller_power_of_two_does(channels, groups):
    _, gate = run(EfficientMultiScaleAttention(return_attention=True), image(1, 3, 3, channels))
    assert gate.shape == (1, 3, 3, groups)


@PROPERTY
@given(st.integers(1, 6), st.integers(1, 6))
def test_a_group_is_gated_as_if_it_were_alone(height, width):
    x = image(2, height, width, 12)
    layer = build(EfficientMultiScaleAttention(3, return_attention=True), x)
    randomise(layer)
    y, gate = run(layer, x)
    np.testing.assert_allclose(y, x * np.repeat(gate, 4, axis=-1), atol=1e-5)
    assert gate.min() > 0 and gate.max() < 1
    alone = build(EfficientMultiScaleAttention(1), x[..., :4])
    alone.set_weights(layer.get_weights())
    for group in range(3):
        part = slice(4 * group, 4 * group + 4)
        np.testing.assert_allclose(run(alone, x[..., part])[0], y[..., part], atol=1e-4)


def test_a_factor_that_does_not_divide_is_refused():
    with pytest.raises(ValueError, match="factor=3 does not divide the input's 8 channels"):
        EfficientMultiScaleAttention(3).build((None, 4, 4, 8))
    with pytest.raises(ValueError, match="at least 1"):
        EfficientMultiScaleAttention(0)
