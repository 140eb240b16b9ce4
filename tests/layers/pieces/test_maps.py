import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from keras import ops
from support.layer_checks import PROPERTY, image

from kattn.layers.pieces.branches import softmax_over
from kattn.layers.pieces.maps import max_pool_2x2, max_pool_3x3, nearest

SIZES = st.integers(1, 9)


@PROPERTY
@given(SIZES, SIZES)
def test_pooling_by_three_is_padded_with_minus_infinity(height, width):
    """On maps that are negative everywhere, where padding with zeros would show."""
    x = -1 - np.abs(image(2, height, width, 3))
    padded = np.pad(x, ((0, 0), (1, 2), (1, 2), (0, 0)), constant_values=-np.inf)
    rows, columns = -(-height // 2), -(-width // 2)
    want = np.full((2, rows, columns, 3), -np.inf, "float32")
    for row in range(rows):
        for column in range(columns):
            window = padded[:, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
            want[:, row, column] = window.max((1, 2))
    np.testing.assert_array_equal(ops.convert_to_numpy(max_pool_3x3(ops.convert_to_tensor(x))), want)


@PROPERTY
@given(SIZES, SIZES)
def test_pooling_by_two_halves_and_keeps_single_rows(height, width):
    x = image(1, height, width, 2)
    y = ops.convert_to_numpy(max_pool_2x2(ops.convert_to_tensor(x)))
    assert y.shape == (1, max(1, height // 2), max(1, width // 2), 2)
    assert np.isin(y, x).all() and y[0, 0, 0, 0] == x[0, :2, :2, 0].max()


@PROPERTY
@given(SIZES, SIZES, SIZES, SIZES)
def test_nearest_takes_the_floor(height, width, new_height, new_width):
    x = image(1, height, width, 1)
    rows, columns = (np.floor(np.arange(n) * o / n).astype(int) for o, n in ((height, new_height), (width, new_width)))
    got = ops.convert_to_numpy(nearest(ops.convert_to_tensor(x), new_height, new_width))
    np.testing.assert_array_equal(got, x[:, rows][:, :, columns])


def test_branch_weights_are_a_softmax_however_many_branches():
    for count in (1, 2, 3, 5):
        scores = 100 * image(count, 2, 1, 1, 4)
        weights = np.stack([ops.convert_to_numpy(w) for w in softmax_over([ops.convert_to_tensor(s) for s in scores])])
        e = np.exp(scores - scores.max(0))
        np.testing.assert_allclose(weights, e / e.sum(0), atol=1e-6)
