import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.layer_checks import PROPERTY, build, check_free_sizes, image, parameters, randomise, run

from kattn.layers import CrissCrossAttention

SIDE = st.integers(1, 6)


def ready(x, **options):
    layer = build(CrissCrossAttention(**options), x)
    randomise(layer)
    return layer


def full_map(layer, x):
    """One recurrence through the N x N map, everything off the cross masked."""
    _, height, width, _ = x.shape
    rows, columns = np.divmod(np.arange(height * width), width)
    cross = (rows[:, None] == rows) | (columns[:, None] == columns)
    query, key, value = (
        run(part, x)[0].reshape(x.shape[0], height * width, -1) for part in (layer.query, layer.key, layer.value)
    )
    logits = np.where(cross, query @ key.transpose(0, 2, 1), -np.inf)
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    return x + float(layer.gamma.numpy()) * (weights @ value).reshape(x.shape)


def test_behaves_as_a_layer_should(check_layer):
    check_layer(CrissCrossAttention(2, return_attention=True), image(2, 4, 3, 4))


@pytest.mark.slow
def test_the_paper_s_form_behaves(check_layer):
    check_layer(CrissCrossAttention(2, recurrence=3, gamma=False), image(2, 4, 3, 4))


def test_takes_maps_of_unknown_size():
    check_free_sizes(CrissCrossAttention(2, return_attention=True), image(2, 4, 3, 4))


def test_starts_as_the_identity():
    x = image(2, 4, 3, 8)
    np.testing.assert_array_equal(run(CrissCrossAttention(), x)[0], x)


@PROPERTY
@given(SIDE, SIDE, st.integers(1, 3))
def test_is_attention_with_everything_off_the_cross_masked(height, width, recurrence):
    x = image(2, height, width, 6)
    layer = ready(x, reduction=2, recurrence=recurrence)
    want = x
    for _ in range(recurrence):
        want = full_map(layer, want)
    np.testing.assert_allclose(run(layer, x)[0], want, atol=1e-4)


@PROPERTY
@given(SIDE, SIDE, st.integers(1, 8), st.booleans())
def test_moves_with_rows_and_with_columns(height, width, channels, gamma):
    x = image(2, height, width, channels)
    layer = ready(x, reduction=3, gamma=gamma)
    y = run(layer, x)[0]
    rng = np.random.default_rng(1)
    rows, columns = rng.permutation(height), rng.permutation(width)
    np.testing.assert_allclose(run(layer, x[:, rows][:, :, columns])[0], y[:, rows][:, :, columns], atol=1e-4)


@pytest.mark.parametrize(("recurrence", "reached"), [(1, False), (2, True)])
def test_two_recurrences_reach_every_position(recurrence, reached):
    x = image(1, 4, 5, 4)
    layer = ready(x, reduction=1, recurrence=recurrence)
    moved = x.copy()
    moved[0, 0, 0] += 1
    change = np.abs(run(layer, moved)[0] - run(layer, x)[0])[0, 1:, 1:]
    assert np.all(change.max(axis=-1) > 1e-7) == reached and np.all(change == 0) != reached


def test_weights_sum_to_one_and_count_the_centre_once():
    x = image(2, 4, 3, 4)
    _, first, second = run(ready(x, return_attention=True), x)
    for weights in (first, second):
        np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-5)
        np.testing.assert_array_equal(weights[:, range(4), :, range(4)], 0)


@pytest.mark.parametrize(("gamma", "count"), [(True, 328_321), (False, 328_320)])
def test_parameters_are_the_published_count(gamma, count):
    assert parameters(build(CrissCrossAttention(gamma=gamma), image(1, 1, 1, 512))) == count


def test_needs_a_recurrence():
    with pytest.raises(ValueError, match="recurrence must be at least 1"):
        CrissCrossAttention(recurrence=0)
