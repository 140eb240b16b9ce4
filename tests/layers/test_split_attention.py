import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.layer_checks import PROPERTY, build, check_free_sizes, image, parameters, randomise, run

from kattn.layers import SplitAttention


def ready(x, *args, **options):
    layer = build(SplitAttention(*args, **options), x)
    randomise(layer)
    return layer


@pytest.mark.representative
def test_behaves_as_a_layer_should(check_layer):
    check_layer(SplitAttention(8, 2, groups=2, min_hidden=4, return_attention=True), image(2, 7, 6, 8))


def test_takes_maps_of_unknown_size():
    check_free_sizes(SplitAttention(8, 2, min_hidden=4), image(2, 7, 6, 4))


def test_parameters_are_the_published_count():
    assert parameters(build(SplitAttention(64), image(1, 7, 7, 64))) == 43_488


@PROPERTY
@given(
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 2),
    st.sampled_from([None, True, False]),
)
def test_weights_sum_to_one_and_sizes_are_ceilings(height, width, strides, radix, groups, average_down):
    """Over the splits; a single split has a sigmoid instead."""
    x = image(2, height, width, 12)
    options = {"radix": radix, "groups": groups, "average_down": average_down, "min_hidden": 4, "reduction": 6}
    y, attention = run(ready(x, 6, strides, return_attention=True, **options), x)
    assert y.shape == (2, -(-height // strides), -(-width // strides), 6)
    assert attention.shape == (2, radix, 6) and attention.min() >= 0 and attention.max() <= 1
    if radix > 1:
        np.testing.assert_allclose(attention.sum(1), 1, atol=1e-5)


def test_the_average_pool_counts_its_padding():
    """At stride 1, on a map of ones a corner keeps four ninths of what the middle has."""
    x = image(1, 3, 3, 4)
    pooled = ready(x, 4, average_down=True, kernel_size=1, min_hidden=4)
    plain = build(SplitAttention(4, average_down=False, kernel_size=1, min_hidden=4), x)
    plain.set_weights(pooled.get_weights())
    ones = np.ones_like(x)
    np.testing.assert_allclose(run(pooled, ones)[0][0, 0, 0], run(plain, ones)[0][0, 1, 1] * 4 / 9, rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"filters": 6, "groups": 4}, "groups must divide filters"),
        ({"filters": 8, "radix": 0}, "must be positive"),
        ({"filters": 8, "kernel_size": 2}, "kernel_size odd"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        SplitAttention(**options)


def test_channels_that_the_groups_do_not_divide_are_named():
    with pytest.raises(ValueError, match="must divide the input's 6 channels"):
        SplitAttention(8, radix=2, groups=2).build((None, 8, 8, 6))
