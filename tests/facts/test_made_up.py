"""Made-up images suit type and range."""

import numpy as np
import pytest

from kattn.facts.made_up import made_up

SHAPE = (6, 8, 3)


def test_they_are_the_same_each_time_and_differ_from_each_other():
    first, second = (made_up(4, SHAPE, value_range=(0, 255)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert first.min() >= 0 and first.max() <= 255 and np.ptp(first.reshape(4, -1).mean(1)) > 1
    assert (first == np.round(first)).all()


@pytest.mark.parametrize(
    ("dtype", "value_range", "low", "high"),
    [
        ("float32", None, -1, 1),
        ("float16", (0, 1), 0, 1),
        ("bfloat16", (0, 4095), 0, 4095),
        ("float32", (-80, 0), -80, 0),
        ("uint8", None, 0, 255),
        ("int8", None, -128, 127),
        ("int8", (0, 255), 0, 127),
        ("uint16", (0, 4095), 0, 4095),
        ("int32", None, 0, 255),
        ("bool", None, 0, 1),
    ],
)
def test_they_fill_the_range_of_their_type(dtype, value_range, low, high):
    images = made_up(8, SHAPE, dtype, value_range)
    assert images.dtype == ("float32" if dtype == "bfloat16" else dtype)
    values = images.astype("float64")
    assert low <= values.min() <= low + 0.2 * (high - low) and high - 0.2 * (high - low) <= values.max() <= high
    if images.dtype.kind in "iu":
        assert (values == np.round(values)).all()
    assert made_up(2, (7,), dtype).shape == (2, 7)
