"""Ranges over a share of the images."""

from __future__ import annotations

import numpy as np
import pytest

from kattn.export.ranges import SHARES, Ranges


def ranges():
    """Of 100 images one has values ten times as large; one tensor moves on that image alone, one on none."""
    found: Ranges[str] = Ranges()
    for image in range(100):
        size = 10.0 if image == 7 else 1.0
        found.add("map", np.array([-size, size]))
        found.add("rare", np.array([0.0, 3.0 if image == 7 else 0.0]))
        found.add("still", np.zeros(2))
    return found


@pytest.mark.parametrize(("method", "most"), [("percentile", 1.0), ("minmax", 10.0)])
def test_one_image_unlike_the_others_counts_at_minmax_only(method, most):
    assert ranges().over(SHARES[method])["map"] == (-most, most)


def test_what_only_that_image_moves_keeps_its_range():
    found = ranges().over(SHARES["percentile"])
    assert found["rare"] == (0.0, 3.0) and found["still"] == (0.0, 0.0)


def test_the_image_itself_is_taken_whole():
    found = ranges().over(SHARES["percentile"], whole="map")
    assert found["map"] == (-10.0, 10.0)
