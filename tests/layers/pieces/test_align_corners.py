import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops
from support.layer_checks import PROPERTY, image

from kattn.layers.pieces.align_corners import interpolation, resize_align_corners

SIZE = st.integers(1, 9)


@PROPERTY
@given(SIZE, SIZE, st.integers(2, 9), st.integers(2, 9))
def test_corners_stay_and_straight_lines_stay_straight(height, width, new_height, new_width):
    rows, columns = np.linspace(0, 1, height), np.linspace(0, 2, width)
    x = (rows[:, None] - columns[None, :]).astype("float32")[None, :, :, None]
    y = ops.convert_to_numpy(resize_align_corners(x, (new_height, new_width)))[0, :, :, 0]
    new_rows = np.linspace(0, 1, new_height) if height > 1 else np.zeros(new_height)
    new_columns = np.linspace(0, 2, new_width) if width > 1 else np.zeros(new_width)
    np.testing.assert_allclose(y, new_rows[:, None] - new_columns[None, :], atol=1e-6)


@PROPERTY
@given(st.integers(1, 5), st.integers(2, 5), st.integers(1, 4))
def test_shrinking_by_a_divisor_picks_samples_and_enlarging_puts_them_back(height, width, factor):
    big = ((height - 1) * factor + 1, (width - 1) * factor + 1)
    x = image(2, *big, 3)
    small = ops.convert_to_numpy(resize_align_corners(x, (height, width)))
    np.testing.assert_allclose(small, x[:, ::factor, ::factor], atol=1e-5)
    back = ops.convert_to_numpy(resize_align_corners(small, big))
    np.testing.assert_allclose(back[:, ::factor, ::factor], small, atol=1e-5)


@pytest.mark.parametrize(("old", "new"), [(5, 9), (9, 5), (1, 4), (4, 1), (6, 6)])
def test_sizes_known_only_at_run_time_give_the_same_matrix(old, new):
    made = interpolation(ops.convert_to_tensor(old), ops.convert_to_tensor(new), "float32")
    known = interpolation(old, new, "float32")
    np.testing.assert_allclose(ops.convert_to_numpy(made), ops.convert_to_numpy(known), atol=1e-6)
