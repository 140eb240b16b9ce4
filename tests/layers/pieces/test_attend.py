import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops
from support.layer_checks import PROPERTY, image, outputs_and_gradients

from kattn.layers import PositionAttention
from kattn.layers.pieces import attend
from kattn.layers.pieces.attend import query_block


def reference(query, key, value, scale=1.0):
    logits = scale * query.astype("float64") @ key.astype("float64").transpose(0, 2, 1)
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    return weights @ value, weights


def triple(queries=7, keys=5):
    return image(2, queries, 3), image(2, keys, 3, seed=1), image(2, keys, 4, seed=2)


def test_is_the_equation():
    y, attention = attend.attend(*triple(), scale=0.7, return_attention=True)
    want, weights = reference(*triple(), scale=0.7)
    np.testing.assert_allclose(ops.convert_to_numpy(y), want, atol=1e-5)
    np.testing.assert_allclose(ops.convert_to_numpy(attention), weights, atol=1e-6)


@PROPERTY
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 12), st.booleans())
def test_blocks_of_queries_give_the_whole_map_s_numbers(queries, keys, block, training):
    parts = attend.attend(*triple(queries, keys), block=block, training=training)
    np.testing.assert_allclose(ops.convert_to_numpy(parts), reference(*triple(queries, keys))[0], atol=1e-5)


def test_the_gradient_through_blocks_is_the_whole_map_s():
    x = image(2, 3, 4, 4)
    whole, parts = PositionAttention(2), PositionAttention(2, block=5)
    for layer in (whole, parts):
        layer.build(x.shape)
    whole.gamma.assign(0.5)
    parts.set_weights(whole.get_weights())
    for got, want in zip(outputs_and_gradients(parts, x), outputs_and_gradients(whole, x), strict=True):
        np.testing.assert_allclose(got, want, atol=1e-5)


@pytest.mark.parametrize(
    ("queries", "keys", "block"),
    [(4096, 4096, None), (9409, 9409, 1569), (10, 2**25, 1), (None, 9409, None), (9409, None, None)],
)
def test_only_maps_of_known_size_above_the_limit_are_cut(queries, keys, block):
    assert query_block(queries, keys) == block


def test_float16_logits_beyond_its_range_stay_finite():
    query, key, value = (ops.cast(300 * x, "float16") for x in triple())
    y = ops.convert_to_numpy(attend.attend(query, key, value))
    assert y.dtype == "float16" and np.all(np.isfinite(y))
