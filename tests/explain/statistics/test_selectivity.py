"""The class selectivity index is the paper's, of every channel, over any data."""

import numpy as np
import pytest
from support.explaining import DATA, LABELS, maps_of

from kattn.explain import class_selectivity, selectivity_index


def test_class_selectivity_of_a_worked_example():
    means = [[3.0, 1.0, 0.0, 0.0], [1.0, 1.0, 0.0, 4.0], [0.0, 1.0, 0.0, 0.0]]
    # channel 0: (3 - 0.5) / (3 + 0.5); 1: alike; 2: dead; 3: one class only
    np.testing.assert_allclose(selectivity_index(means), [2.5 / 3.5, 0, 0, 1])
    with_empty_class = [*means, [np.nan] * 4]
    np.testing.assert_allclose(selectivity_index(with_empty_class), [2.5 / 3.5, 0, 0, 1])


def test_class_selectivity_stays_in_its_bounds():
    for seed in range(20):
        means = np.random.default_rng(seed).exponential(size=(1 + seed % 7 + 1, 50)) ** 3
        index = selectivity_index(means)
        assert index.min() >= 0 and index.max() <= 1
    for wrong, message in (([[1.0, 2.0]], "compares classes"), ([[1.0], [-1.0]], "not be negative")):
        with pytest.raises(ValueError, match=message):
            selectivity_index(wrong)


def test_class_selectivity_equals_a_plain_loop(model):
    found = class_selectivity(model, DATA, batch_size=10)
    assert list(found) == ["first", "afi", "last_relu"]
    activity = np.maximum(maps_of(model, "last_relu"), 0).mean((1, 2))
    means = [activity[k == LABELS].mean(0) for k in range(3)]
    np.testing.assert_allclose(found["last_relu"], selectivity_index(means), atol=1e-5)
    assert list(class_selectivity(model, DATA, layers="last")) == ["last"]
    with pytest.raises(ValueError, match="closest: first"):
        class_selectivity(model, DATA, layers=["firs"])
