import numpy as np
import pytest
from support.layer_checks import check_free_sizes, image, run

from kattn.layers import ReZero


def test_behaves_as_a_layer_should(check_layer):
    check_layer(ReZero(0.3), image(2, 5, 4, 6), image(2, 5, 4, 6, seed=1))


def test_takes_maps_of_unknown_size():
    check_free_sizes(ReZero(0.3), image(2, 5, 4, 6), image(2, 5, 4, 6, seed=1))


def test_it_goes_from_one_to_the_other():
    x, y = image(2, 3, 4, 6), image(2, 3, 4, 6, seed=1)
    for scale in (0.0, 0.25, 1.0):
        (z,) = run(ReZero(scale), x, y)
        np.testing.assert_allclose(z, x + scale * (y - x), atol=1e-6)
    (z,) = run(ReZero(), x, 1e30 * y)
    np.testing.assert_array_equal(z, x)


@pytest.mark.parametrize("shape", [(None, 4, 4, 3), [(None, 4, 4, 3)], [(None, 4, 4, 3), (None, 4, 4, 2)]])
def test_bad_inputs_are_named(shape):
    with pytest.raises(ValueError, match="takes two inputs of one shape"):
        ReZero().build(shape)
