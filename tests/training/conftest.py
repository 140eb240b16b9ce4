import shutil

import keras
import pytest
from support.runs import At, interrupt, run


@pytest.fixture(scope="session")
def straight(tmp_path_factory):
    """An uninterrupted run."""
    return run(tmp_path_factory.mktemp("runs") / "straight")


@pytest.fixture(scope="session")
def stopped_run(tmp_path_factory):
    """The folder of the same run, stopped by Ctrl-C in its second epoch."""
    folder = tmp_path_factory.mktemp("runs") / "stopped"
    with pytest.raises(KeyboardInterrupt):
        run(folder, callbacks=[At(1, interrupt)])
    return folder


@pytest.fixture
def stopped(stopped_run, tmp_path):
    """A copy of the stopped run, to go on with."""
    return shutil.copytree(stopped_run, tmp_path / "stopped")


@pytest.fixture
def no_training(monkeypatch):
    """Training fails the test."""

    def fit(*args, **kwargs):
        raise AssertionError("training began")

    monkeypatch.setattr(keras.Model, "fit", fit)
