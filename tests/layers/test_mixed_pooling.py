import numpy as np
import pytest
from support.layer_checks import build, check_free_sizes, image, parameters, randomise, run

from kattn.layers import MixedPooling


def test_behaves_as_a_layer_should(check_layer):
    check_layer(MixedPooling((3, 2)), image(2, 6, 5, 8))


def test_takes_maps_of_unknown_size():
    check_free_sizes(MixedPooling((4, 3)), image(2, 5, 7, 4))


@pytest.mark.parametrize(("channels", "count"), [(256, 276_096), (1024, 4_397_568)])
def test_parameters_are_the_references(channels, count):
    assert parameters(build(MixedPooling(), image(1, 2, 2, channels))) == count


@pytest.mark.parametrize("size", [(1, 1), (3, 20)])
def test_a_grid_may_be_finer_than_the_map(size):
    x = image(2, *size, 8)
    layer = build(MixedPooling(), x)
    randomise(layer)
    (y,) = run(layer, x)
    assert y.shape == x.shape and np.isfinite(y).all() and y.min() == 0


@pytest.mark.parametrize("sizes", [(), (4, 0)])
def test_grids_must_have_cells(sizes):
    with pytest.raises(ValueError, match="pool_sizes must be some numbers"):
        MixedPooling(sizes)
