"""Means, spreads and intervals of a few numbers."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

NOTHING = 1e-12  # a smaller deviation is rounding


@dataclass(frozen=True)
class Spread:
    """What is known of a mean from a few values.

    Attributes:
        count: Of the values.
        mean: Of the values; None for none.
        deviation: Sample standard deviation; None for fewer than two.
        low, high: Interval of the mean; None for fewer than two values, and where all are the same.
    """

    count: int
    mean: float | None
    deviation: float | None
    low: float | None
    high: float | None


def spread(values: Sequence[float], confidence: float) -> Spread:
    """Mean, standard deviation and the interval of the mean by Student's t distribution (scipy.stats.t).

    The interval is exact for values that are normally distributed; a few seeds cannot show whether they are.

    Args:
        values: One a seed.
        confidence: Such as 0.95.
    """
    count = len(values)
    if not count:
        return Spread(0, None, None, None, None)
    mean = statistics.fmean(values)
    if count < 2:
        return Spread(count, mean, None, None, None)
    deviation = statistics.stdev(values)
    if deviation < NOTHING:
        return Spread(count, mean, 0.0, None, None)
    from scipy.stats import t

    low, high = t.interval(confidence, count - 1, loc=mean, scale=deviation / math.sqrt(count))
    return Spread(count, mean, deviation, float(low), float(high))
