"""The learning-rate range test."""

import csv

import keras
import numpy as np
import pytest
from support.training import EAGER, arrays, tiny_model

from kattn.training.rates import find_rate


@pytest.fixture(autouse=True)
def untraced(monkeypatch):
    monkeypatch.setattr(keras.Model, "run_eagerly", EAGER)


def test_it_ends_where_the_loss_blows_up_and_suggests_a_tenth_of_the_best(tmp_path):
    keras.utils.set_random_seed(3)
    recipe = {"epochs": 1, "batch_size": 8}
    found = find_rate(
        tiny_model(classes=3),
        data=arrays(120),
        recipe=recipe,
        low=1e-4,
        high=1e4,
        steps=30,
        out=tmp_path,
        verbose=False,
    )
    assert 10 < len(found.rates) < 30 and found.rates[0] == pytest.approx(1e-4)
    ratios = np.diff(np.log(found.rates))
    np.testing.assert_allclose(ratios, np.log(1e8) / 29)
    assert found.suggested == pytest.approx(found.rates[int(np.argmin(found.losses))] / 10)
    assert 1e-4 < found.suggested < 10 and max(found.losses) < 4 * min(found.losses) * 4
    rows = list(csv.DictReader((tmp_path / "rates.csv").read_text().splitlines()))
    assert [float(row["loss"]) for row in rows] == found.losses
    assert (tmp_path / "rates.png").read_bytes().startswith(b"\x89PNG") and str(tmp_path / "rates.png") in str(found)


def test_the_first_loss_is_that_of_the_first_step_and_the_rate_that_of_the_test(tmp_path):
    seen = []

    class Watching(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)))

    model = tiny_model(classes=3)
    fit = model.fit
    model.fit = lambda *given, callbacks, **options: fit(*given, callbacks=[*callbacks, Watching()], **options)
    found = find_rate(model, data=arrays(60), recipe="auto", low=1e-5, high=1e-3, steps=12, out=tmp_path, verbose=False)
    assert len(found.losses) == 12 and found.recipe == "small_data"
    np.testing.assert_allclose(seen[:11], found.rates[1:], rtol=1e-5)  # after a step the next one's rate is shown


@pytest.mark.parametrize("options", [{"low": 0}, {"low": 1, "high": 0.1}, {"steps": 3}, {"high": float("inf")}])
def test_rates_that_are_no_range_are_refused(options, tmp_path):
    with pytest.raises(ValueError, match="rates rise from low to high"):
        find_rate(tiny_model(), out=tmp_path / "r", **options)
    assert not (tmp_path / "r").exists()
