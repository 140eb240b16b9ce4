import keras
import numpy as np
import pytest
from keras import ops

from kattn.layers import SAGANAttention, rnan_non_local
from kattn.layers.pieces import attend
from kattn.layers.pieces.attend_maps import attend_maps, map_size, max_pooled
from kattn.layers.rnan_non_local import distribute_maps


def maps(*sizes, channels=3, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((2, *size, channels)).astype("float32") for size in sizes]


def rows(x):
    return x.reshape(x.shape[0], -1, x.shape[-1])


def softmax(x, axis):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


@pytest.mark.parametrize(("weighed", "axis"), [(attend_maps, -1), (distribute_maps, 1)])
def test_values_are_weighed_by_the_softmax(weighed, axis):
    query, key, value = maps((3, 2), (2, 4), (2, 4))
    y, attention = weighed(query, key, value, return_attention=True)
    want = softmax(rows(query) @ rows(key).transpose(0, 2, 1), axis)
    np.testing.assert_allclose(ops.convert_to_numpy(attention), want, atol=1e-5)
    np.testing.assert_allclose(ops.convert_to_numpy(y), (want @ rows(value)).reshape(query.shape), atol=1e-5)


@pytest.mark.parametrize("weighed", [attend_maps, distribute_maps])
@pytest.mark.parametrize(("training", "kept"), [(False, 0), (True, 1000), (True, 0)])
def test_pieces_of_a_large_matrix_give_the_same(weighed, training, kept, monkeypatch):
    query, key, value = maps((5, 3), (4, 4), (4, 4))
    whole, _ = weighed(query, key, value)
    monkeypatch.setattr(attend, "MAP_ENTRIES", 60)
    monkeypatch.setattr(attend, "KEPT_ENTRIES", kept)
    assert rnan_non_local.query_block(16, 15) == 4
    pieces, attention = weighed(query, key, value, training=training)
    np.testing.assert_allclose(ops.convert_to_numpy(pieces), ops.convert_to_numpy(whole), atol=1e-6)
    assert attention is None


@pytest.mark.parametrize(("weighed", "size"), [(attend_maps, ((3, 2), (1, 1))), (distribute_maps, ((1, 1), (3, 2)))])
def test_a_softmax_over_one_position_is_one(weighed, size):
    query, key = maps(*size)
    y, attention = weighed(query, key, key, return_attention=True)
    np.testing.assert_array_equal(ops.convert_to_numpy(attention), 1.0)
    want = np.broadcast_to(rows(key).sum(1)[:, None, None], query.shape)
    np.testing.assert_allclose(ops.convert_to_numpy(y), want, atol=1e-6)


def test_what_overhangs_is_not_pooled():
    x = np.arange(15, dtype="float32").reshape(1, 3, 5, 1)
    np.testing.assert_array_equal(ops.convert_to_numpy(max_pooled(x, 2))[0, :, :, 0], [[6, 8]])
    assert map_size((None, 3, 5, 1), 2) == 2
    assert map_size((None, None, 5, 1)) is None


def test_a_softmax_over_one_position_trains_without_a_warning():
    """Keras warns of variables that have no gradient at all."""
    x = np.random.default_rng(0).standard_normal((2, 2, 2, 8)).astype("float32")
    model = keras.Sequential([keras.Input((2, 2, 8)), SAGANAttention(form="release")])
    model.compile(optimizer="sgd", loss="mse")
    assert np.isfinite(model.train_on_batch(x, x))
