import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from keras import ops
from support.layer_checks import PROPERTY, image

from kattn.layers.pieces.adaptive_pooling import adaptive_average, averaging


@PROPERTY
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 12), st.integers(1, 12))
def test_each_cell_is_the_mean_of_its_bin(height, width, rows, columns):
    x = image(2, height, width, 3)
    y = ops.convert_to_numpy(adaptive_average(x, (rows, columns)))
    for i in range(rows):
        for j in range(columns):
            bins = x[
                :,
                i * height // rows : -(-(i + 1) * height // rows),
                j * width // columns : -(-(j + 1) * width // columns),
            ]
            np.testing.assert_allclose(y[:, i, j], bins.mean((1, 2)), atol=1e-5)


def test_a_size_known_later_gives_the_same_matrix():
    for old, new in ((7, 3), (3, 7), (6, 2), (1, 4)):
        later = averaging(ops.convert_to_tensor(old), new, "float32")
        np.testing.assert_allclose(ops.convert_to_numpy(later), averaging(old, new, "float32"), atol=1e-6)
