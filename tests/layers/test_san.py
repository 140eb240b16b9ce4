import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops
from support.layer_checks import randomise

from kattn.layers import LocalSourceResidualAttentionGroup, NonLocalResidualGroup


def image(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def numbers(x):
    return ops.convert_to_numpy(x)


def test_the_local_group_behaves_as_a_layer_should(check_layer):
    check_layer(LocalSourceResidualAttentionGroup(blocks=1, reduction=2), image(2, 5, 4, 6))


def test_the_non_local_group_behaves_as_a_layer_should(check_layer):
    check_layer(NonLocalResidualGroup(groups=1, blocks=1, reduction=2), image(2, 6, 4, 6))


def test_parameters_are_the_published_counts_without_the_unused_ones():
    local, body = LocalSourceResidualAttentionGroup(), NonLocalResidualGroup(groups=2, blocks=1)
    local.build((None, 8, 8, 64))
    body.build((None, 8, 8, 64))
    assert local.count_params() == 776_069 - 1  # the code's gamma is never used
    assert body.count_params() == 2136 + 1 + 2 * (73_856 + 580 + 36_928)


@settings(max_examples=5, deadline=None, derandomize=True)
@given(st.integers(4, 7), st.integers(4, 7), st.integers(1, 2), st.integers(0, 99))
def test_the_body_is_its_equation(height, width, groups, seed):
    """F = RLNL(x), h = LSRAG(h) + gamma F, y = RLNL(h) + x, with one RLNL and one gamma."""
    x = image(1, height, width, 4, seed=seed)
    layer = NonLocalResidualGroup(groups=groups, blocks=1, reduction=2)
    layer.build(x.shape)
    randomise(layer)
    source = h = layer.non_local(x)
    for group in layer.body:
        h = group(h) + layer.gamma * source
    np.testing.assert_allclose(numbers(layer(x)), numbers(layer.non_local(h) + x), atol=1e-5)


def test_a_map_too_small_for_its_tiles_is_refused():
    with pytest.raises(ValueError, match="at least 4 positions a side"):
        NonLocalResidualGroup().build((None, 3, 8, 4))
