"""Ranks among equal scores are sklearn's, and within torch's freedom of choice."""

import numpy as np
import pytest
from sklearn.metrics import top_k_accuracy_score

from kattn.evaluation.metrics import measure, ranks


def eight_bits(images, classes, seed=0):
    """Probabilities in steps of 1/256, as files of 8 bits give them, and labels."""
    rng = np.random.default_rng(seed)
    return np.round(rng.dirichlet(np.full(classes, 0.3), images) * 256) / 256, rng.integers(0, classes, images)


@pytest.mark.parametrize("classes", [10, 100])
@pytest.mark.parametrize("k", [2, 5])
def test_equal_scores_are_ranked_as_sklearn_ranks_them(classes, k):
    scores, labels = eight_bits(2000, classes)
    expected = top_k_accuracy_score(labels, scores, k=k, labels=np.arange(classes))
    assert (ranks(scores, labels) < k).mean() == pytest.approx(expected, abs=1e-12)


def test_a_constant_output_is_right_as_often_as_chance():
    labels = np.repeat(np.arange(20), 10)
    found = measure(np.full((200, 20), 0.05), labels)
    assert found.top5 == 0.25
    assert found.top1 == 0.05


def test_top5_of_eight_bits_counts_no_more_than_five_classes():
    scores, labels = eight_bits(2000, 1000)
    assert (ranks(scores, labels) < 5).mean() <= 5 / 1000 + 3 * np.sqrt(0.005 / 2000)
