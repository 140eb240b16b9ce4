"""Enlarging to the size of another map: corners stay, straight lines stay straight, open sizes work."""

import keras
import numpy as np
import pytest
from keras import ops

from kattn.layers import ResizeLike


def test_a_straight_slope_stays_one_from_corner_to_corner():
    slope = np.linspace(0, 1, 5)[:, None] + np.linspace(0, 2, 3)[None, :]
    want = np.linspace(0, 1, 33)[:, None] + np.linspace(0, 2, 17)[None, :]
    y = ResizeLike()([slope[None, :, :, None].astype("float32"), np.zeros((1, 33, 17, 3), "float32")])
    np.testing.assert_allclose(ops.convert_to_numpy(y)[0, :, :, 0], want, atol=1e-6)


@pytest.mark.parametrize("sizes", [((3, 5, 2), (9, 10, 3)), ((None, None, 2), (None, None, 3))])
def test_sizes_may_be_open(sizes):
    x, like = (keras.Input(size) for size in sizes)
    model = keras.Model([x, like], ResizeLike()([x, like]))
    assert model.output_shape == (None, *sizes[1][:2], 2)
    rng = np.random.default_rng(0)
    values = rng.standard_normal((2, 3, 5, 2)).astype("float32")
    y = ops.convert_to_numpy(model([values, np.zeros((2, 9, 10, 3), "float32")]))
    np.testing.assert_allclose(y[:, ::4, ::9], values[:, ::1, ::4], atol=1e-6)  # 9 of 3: every fourth; 10 of 5: corners


def test_takes_two_maps():
    with pytest.raises(ValueError, match="takes a list of two maps"):
        ResizeLike()(np.zeros((1, 2, 2, 1), "float32"))
    with pytest.raises(ValueError, match="ResizeLike takes a"):
        ResizeLike()([np.zeros((1, 2, 2, 1), "float32"), np.zeros((1, 2), "float32")])
