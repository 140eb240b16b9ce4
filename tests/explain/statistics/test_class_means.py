"""Means by class hold no more with more data."""

import numpy as np

from kattn.explain.statistics.class_means import ClassMeans


def test_what_is_kept_does_not_grow_with_the_data():
    few, many = ClassMeans(4), ClassMeans(4)
    few.add({"a": np.ones((8, 5))}, np.arange(8) % 4)
    for _ in range(50):
        many.add({"a": np.ones((8, 5))}, np.arange(8) % 4)
    sizes = [sum(a.nbytes for a in (m.counts, *m.sums.values(), *m.squares.values())) for m in (few, many)]
    assert sizes[0] == sizes[1]
    np.testing.assert_allclose(many.means("a"), 1)
