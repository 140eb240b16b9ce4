import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops
from support.layer_checks import randomise

from kattn.layers import RegionNonLocal


def image(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def numbers(x):
    return ops.convert_to_numpy(x)


def randomised(shape, **options):
    layer = RegionNonLocal(**options)
    layer.build(shape)
    randomise(layer)
    return layer


def test_behaves_as_a_layer_should(check_layer):
    check_layer(RegionNonLocal(return_attention=True), image(2, 5, 4, 8))


def test_behaves_with_normalisation(check_layer):
    check_layer(RegionNonLocal(regions=1, pool=1, batch_norm=True), image(2, 3, 4, 8), export=False)


def test_parameters_are_the_published_count():
    layer = RegionNonLocal()
    layer.build((None, 8, 8, 64))
    assert layer.count_params() == 2136


def test_starts_as_the_identity():
    x = image(1, 5, 4, 8)
    np.testing.assert_array_equal(numbers(RegionNonLocal()(x)), x)


@settings(max_examples=8, deadline=None, derandomize=True)
@given(st.integers(6, 9), st.integers(6, 9), st.integers(1, 3), st.integers(1, 2), st.integers(0, 99))
def test_tiles_do_not_see_each_other(height, width, regions, pool, seed):
    """Each tile is what one region alone makes of it, the last ones with the remainder."""
    x = image(1, height, width, 4, seed=seed)
    layer = randomised(x.shape, regions=regions, pool=pool)
    alone = RegionNonLocal(regions=1, pool=pool)
    alone.build(x.shape)
    alone.set_weights(layer.get_weights())
    y = numbers(layer(x))
    cuts = [[*range(0, regions * (size // regions), size // regions), size] for size in (height, width)]
    for top, bottom in zip(cuts[0], cuts[0][1:], strict=False):
        for left, right in zip(cuts[1], cuts[1][1:], strict=False):
            tile = numbers(alone(x[:, top:bottom, left:right]))
            np.testing.assert_allclose(y[:, top:bottom, left:right], tile, atol=1e-4)


def test_the_last_tiles_take_the_remainder():
    _, *attention = randomised((1, 5, 6, 4), return_attention=True)(image(1, 5, 6, 4))
    assert [tuple(a.shape) for a in attention] == [(1, 6, 1), (1, 6, 1), (1, 9, 1), (1, 9, 1)]


def test_takes_maps_of_open_size():
    symbol = keras.Input((None, None, 8))
    layer = randomised((None, None, None, 8))
    model = keras.Model(symbol, layer(symbol))
    x = image(2, 7, 5, 8)
    np.testing.assert_allclose(model.predict(x, verbose=0), numbers(layer(x)), atol=1e-5)


def test_a_map_too_small_for_its_tiles_is_refused():
    with pytest.raises(ValueError, match="at least 4 positions a side"):
        RegionNonLocal().build((None, 8, 3, 4))


def test_bad_options_are_named():
    with pytest.raises(ValueError, match="regions and pool must be at least 1"):
        RegionNonLocal(regions=0)
