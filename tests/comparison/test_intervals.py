"""Means and intervals, against numbers worked out by hand."""

import math

import pytest

from kattn.comparison.intervals import Spread, spread
from kattn.comparison.report.rows import RunRow, model_rows

T_2_95 = 4.302652729749464  # Student's t, two degrees of freedom, 97.5 %: any table of it


def rows(**values):
    """Runs of models with these values, one a seed."""
    return [
        RunRow(model, seed, "diverged" if value is None else "finished", 1, value, None, None, {}, "")
        for model, each in values.items()
        for seed, value in enumerate(each)
    ]


def table(runs, confidence=0.95):
    models = list(dict.fromkeys(row.model for row in runs))
    return model_rows(runs, {model: {"parameters": 1, "macs": 2} for model in models}, models, [], confidence)


def test_the_interval_of_three_values_is_students():
    found = spread([0.90, 0.92, 0.94], 0.95)
    assert found.mean == pytest.approx(0.92) and found.deviation == pytest.approx(0.02)
    half = T_2_95 * 0.02 / math.sqrt(3)
    assert (found.low, found.high) == (pytest.approx(0.92 - half), pytest.approx(0.92 + half))
    assert spread([0.90, 0.92, 0.94], 0.99).high > found.high


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], Spread(0, None, None, None, None)),
        ([0.5], Spread(1, 0.5, None, None, None)),
        ([0.1 + 0.2, 0.3, 0.3], Spread(3, pytest.approx(0.3), 0.0, None, None)),
    ],
)
def test_without_a_spread_there_is_no_interval(values, expected):
    assert spread(values, 0.95) == expected


def test_a_difference_is_taken_seed_by_seed():
    """Both models vary by 0.02 over the seeds, and together: their difference varies by 0.001 only."""
    plain, se = table(rows(plain=[0.90, 0.92, 0.94], se=[0.911, 0.932, 0.950]))
    assert (plain.difference, plain.pairs) == (None, 0)
    assert se.pairs == 3 and se.difference == pytest.approx((0.011 + 0.012 + 0.010) / 3)
    half = T_2_95 * 0.001 / math.sqrt(3)
    assert se.difference_low == pytest.approx(0.011 - half) and se.difference_high == pytest.approx(0.011 + half)
    assert se.high - se.low > 10 * (se.difference_high - se.difference_low)


def test_a_seed_that_diverged_is_in_no_difference():
    plain, se = table(rows(plain=[0.9, None, 0.8], se=[0.95, 0.5, 0.81]))
    assert (plain.runs, plain.diverged, se.runs, se.pairs) == (2, 1, 3, 2)
    assert se.difference == pytest.approx((0.05 + 0.01) / 2)
