import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.layer_checks import PROPERTY, build, check_free_sizes, image, parameters, randomise, run

from kattn.layers import SimplifiedNonLocal


@pytest.mark.representative
def test_behaves_as_a_layer_should(check_layer):
    check_layer(SimplifiedNonLocal(return_attention=True), image(2, 6, 5, 8))


def test_takes_maps_of_unknown_size():
    check_free_sizes(SimplifiedNonLocal(return_attention=True), image(2, 5, 7, 4))


def test_starts_as_the_identity():
    x = image(2, 4, 4, 8)
    np.testing.assert_array_equal(run(SimplifiedNonLocal(), x)[0], x)


@pytest.mark.parametrize(("use_bias", "count"), [(True, 1024**2 + 1024 + 1024 + 1), (False, 1024**2 + 1024)])
def test_parameters_are_the_published_count(use_bias, count):
    assert parameters(build(SimplifiedNonLocal(use_bias=use_bias), image(1, 1, 1, 1024))) == count


@PROPERTY
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 12), st.booleans(), st.randoms(use_true_random=False))
def test_every_position_gets_the_same_context(height, width, channels, use_bias, random):
    """The weights sum to one, what is added is the same everywhere, and no order of positions matters."""
    x = image(2, height, width, channels)
    layer = build(SimplifiedNonLocal(use_bias, return_attention=True), x)
    randomise(layer)
    y, attention = run(layer, x)
    np.testing.assert_allclose(attention.sum((1, 2, 3)), 1, atol=1e-5)
    added = y - x
    np.testing.assert_allclose(added, np.broadcast_to(added[:, :1, :1], added.shape), atol=1e-5)
    order = random.sample(range(height * width), height * width)
    shuffled = x.reshape(2, -1, channels)[:, order].reshape(x.shape)
    np.testing.assert_allclose(
        run(layer, shuffled)[0].reshape(2, -1, channels), y.reshape(2, -1, channels)[:, order], atol=1e-5
    )


def test_an_input_that_is_no_map_is_named():
    with pytest.raises(ValueError, match="SimplifiedNonLocal takes a"):
        SimplifiedNonLocal().build((None, 8))
