"""Gate statistics are the means and deviations that a plain loop computes."""

import keras
import numpy as np
import pytest
from keras import layers
from support.explaining import DATA, LABELS, maps_of

from kattn.explain import gate_statistics


def test_gate_statistics_equal_a_plain_loop(model):
    found = gate_statistics(model, DATA, batch_size=10)
    assert {name: means.shape for name, means in found.means.items()} == {
        "se": (3, 6),
        "cbam:channels": (3, 6),
        "afi": (3, 2, 6),
    }
    se, squeezed = model.get_layer("se"), maps_of(model, "first").mean((1, 2), keepdims=True)
    gate = np.asarray(se.expand(se.reduce(squeezed)))[:, 0, 0]
    for k in range(3):
        np.testing.assert_allclose(found.means["se"][k], gate[k == LABELS].mean(0), atol=1e-5)
        np.testing.assert_allclose(found.deviations["se"][k], gate[k == LABELS].std(0), atol=1e-4)
    np.testing.assert_allclose(found.overall("se"), gate.mean(0), atol=1e-5)
    np.testing.assert_allclose(found.means["afi"].sum(1), 1, atol=1e-5)
    assert found.counts.tolist() == [8, 8, 7] and found.class_names == ("0", "1", "2")
    x = keras.Input((8, 8, 3), name="image")
    with pytest.raises(ValueError, match="no gates of channels"):
        gate_statistics(keras.Model(x, layers.GlobalAveragePooling2D()(layers.Conv2D(3, 1)(x))), DATA)
