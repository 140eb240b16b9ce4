"""Short runs of `kattn.train` on a network that trains in a second, and ways to stop them."""

import keras
import numpy as np
import pytest

from support.training import arrays, tiny_model

RECIPE = {
    "epochs": 4,
    "batch_size": 8,
    "learning_rate": 0.05,
    "weight_decay": 1e-3,
    "warmup_epochs": 1.0,
    "label_smoothing": 0.1,
    "shift": 0.125,
    "flip": True,
}
SHORT = {**RECIPE, "epochs": 1, "warmup_epochs": 0.0}


class At(keras.callbacks.Callback):
    """Do something in the middle of the epoch with this number (from 0)."""

    def __init__(self, epoch, action):
        super().__init__()
        self.wanted, self.action, self.epoch = epoch, action, -1

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if self.epoch == self.wanted and batch == 2:
            self.action()


def interrupt(*_):
    """Ctrl-C."""
    raise KeyboardInterrupt


def run(out, *, model=None, recipe=RECIPE, **options):
    """A run on small images; the same call gives the same run."""
    from kattn.training.run import train

    keras.utils.set_random_seed(11)  # the initial weights of a model that is passed in are the caller's
    return train(
        model or tiny_model(classes=3), data=arrays(60), recipe=recipe, out=out, **{"verbose": False, **options}
    )


def same_result(one, other):
    """The same history to the last digit, and the same weights to the last bit."""
    assert (one.path / "history.csv").read_text() == (other.path / "history.csv").read_text()
    assert one.evaluation.to_dict() == other.evaluation.to_dict()
    for a, b in zip(one.model.get_weights(), other.model.get_weights(), strict=True):
        assert np.array_equal(a, b)


def shown_by_tensorboard(folder):
    """What TensorBoard shows of a run: {"train/loss": [(epoch, value), ...], ...}."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = {}
    for part in ("train", "validation"):
        events = EventAccumulator(str(folder / "tensorboard" / part)).Reload()
        for tag in events.Tags()["scalars"]:
            found[f"{part}/{tag}"] = [(each.step, each.value) for each in events.Scalars(tag)]
    return found


def shows_every_epoch_once(folder):
    """TensorBoard shows every epoch of the history once."""
    from kattn.runs.folder import RunFolder

    found, rows = shown_by_tensorboard(folder), RunFolder(folder).history()
    assert {"train/loss", "train/accuracy", "train/learning_rate", "validation/loss"} <= set(found)
    for column in set(rows[0]) - {"epoch"}:
        name = f"validation/{column[4:]}" if column.startswith("val_") else f"train/{column}"
        expected = [(row["epoch"], pytest.approx(row[column], rel=1e-6)) for row in rows]
        assert found[name] == expected
