import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from keras import ops
from support.layer_checks import PROPERTY, image

from kattn.layers.pieces.psa_mask import psa_mask

SIDE = st.integers(1, 5)


def loops(x, mask_height, mask_width):
    batch, height, width, _ = x.shape
    matrix = np.zeros((batch, height, width, height, width))
    for i, j, k, m in itertools.product(range(height), range(width), range(height), range(width)):
        down, across = k - i + mask_height // 2, m - j + mask_width // 2
        if 0 <= down < mask_height and 0 <= across < mask_width:
            matrix[:, i, j, k, m] = x[:, i, j, down * mask_width + across]
    return matrix.reshape(batch, height * width, height * width)


@PROPERTY
@given(SIDE, SIDE, SIDE, SIDE)
def test_picks_the_offset_s_channel_and_zero_outside_the_mask(height, width, half_height, half_width):
    mask = (2 * half_height - 1, 2 * half_width - 1)
    x = image(2, height, width, mask[0] * mask[1])
    want = loops(x, *mask)
    np.testing.assert_array_equal(ops.convert_to_numpy(psa_mask(x, mask)), want)
    handed = ops.convert_to_numpy(psa_mask(x, mask, distribute=True))
    np.testing.assert_array_equal(handed, want.transpose(0, 2, 1))


@PROPERTY
@given(SIDE, SIDE)
def test_weights_alike_everywhere_depend_on_the_offset_only(height, width):
    mask = (2 * height - 1, 2 * width - 1)
    x = np.broadcast_to(image(1, 1, 1, mask[0] * mask[1]), (1, height, width, mask[0] * mask[1]))
    matrix = ops.convert_to_numpy(psa_mask(x, mask)).reshape(height, width, height, width)
    np.testing.assert_array_equal(matrix[1:, 1:, 1:, 1:], matrix[:-1, :-1, :-1, :-1])
