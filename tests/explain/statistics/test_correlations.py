"""Channel correlations are NumPy's, also while a network trains."""

import keras
import numpy as np
from support.explaining import DATA, IMAGES, LABELS, maps_of

from kattn.explain import ChannelCorrelationLog, channel_correlations, mean_correlation


def test_channel_correlations_equal_numpys(model):
    found = channel_correlations(model, DATA, layers=["first", "last_relu"], batch_size=10)
    for name, matrix in found.items():
        rows = maps_of(model, name).reshape(-1, matrix.shape[0]).astype("float64")
        alive = rows.std(0) > 0
        with np.errstate(invalid="ignore"):
            expected = np.where(np.outer(alive, alive), np.corrcoef(rows.T), 0)
        np.testing.assert_allclose(matrix, expected, atol=1e-3)
    eye = np.eye(3)
    assert mean_correlation(eye) == 0 and mean_correlation(np.ones((3, 3))) == 1 and mean_correlation(-eye[:1, :1]) == 0


def test_correlations_are_kept_while_training(model):
    twin = keras.models.clone_model(model)
    twin.set_weights(model.get_weights())
    twin.compile("sgd", loss="sparse_categorical_crossentropy", run_eagerly=True)
    log = ChannelCorrelationLog(DATA, layers="last_relu", epochs=(0, 2), batch_size=23)
    twin.fit(IMAGES, LABELS, epochs=2, verbose=0, callbacks=[log])
    assert list(log.stages) == [0, 2]
    expected = channel_correlations(model, DATA, layers="last_relu")["last_relu"]
    np.testing.assert_allclose(log.stages[0]["last_relu"], expected, atol=1e-5)
