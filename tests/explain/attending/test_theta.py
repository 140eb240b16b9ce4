"""The grid of a spatial transformer."""

import numpy as np
import pytest

from kattn.explain import sampling_grid


def test_a_transformers_grid_lies_where_it_reads():
    identity, corner = [1, 0, 0, 0, 1, 0], [0.5, 0, 0.5, 0, 0.5, -0.5]
    points = sampling_grid([identity, corner], lines=3)
    np.testing.assert_allclose(points[0, :, :, 0], [[0, 0.5, 1]] * 3)
    np.testing.assert_allclose(points[0, :, :, 1], np.transpose([[0, 0.5, 1]] * 3))
    np.testing.assert_allclose(points[1].reshape(-1, 2).min(0), [0.5, 0])
    np.testing.assert_allclose(points[1].reshape(-1, 2).max(0), [1, 0.5])
    with pytest.raises(ValueError, match="lines must be"):
        sampling_grid([identity], lines=1)
