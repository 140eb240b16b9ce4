"""Splits are disjoint, seeded, and as large as was asked for."""

import numpy as np
from support.training import arrays, numbers

from kattn.data.dataset import Dataset, fingerprint
from kattn.data.loading import load


def test_splits_are_disjoint_seeded_and_hold_every_class_in_proportion():
    pair = arrays(300, classes=3)
    data, again, other = load(pair), load(pair), load(pair, split_seed=1)
    found = [set(numbers(part.images)) for part in data.parts()]
    assert sorted(set.union(*found)) == list(range(300))
    assert sum(map(len, found)) == 300
    assert [len(part) for part in found] == [216, 24, 60]
    assert np.bincount(data.test.labels).tolist() == [20, 20, 20]
    assert fingerprint(data.test) == fingerprint(again.test) != fingerprint(other.test)


def test_a_test_set_that_is_given_is_kept_whole():
    data = load((arrays(60), arrays(12, seed=1)), validation=0.5)
    assert (len(data.train), len(data.validation), len(data.test)) == (30, 30, 12)


def test_all_three_splits_can_be_given():
    data = load({"train": arrays(9), "validation": arrays(6), "test": arrays(3)})
    assert [len(part) for part in data.parts()] == [9, 6, 3]
    assert load(data) is data
    assert isinstance(data, Dataset)


def test_a_limit_keeps_every_class():
    data = load(arrays(300, classes=5), limit=10)
    assert [np.bincount(part.labels).tolist() for part in data.parts()] == [[2] * 5] * 3


def test_only_the_split_that_is_asked_for_is_filled():
    data = load(arrays(60), splits=("test",))
    assert [len(part) for part in data.parts()] == [0, 0, 12]
