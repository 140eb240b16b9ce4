"""Quiet TensorFlow, one seed a test, and the folder of the reference vectors."""

import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import pytest


@pytest.fixture(autouse=True)
def _seeded():
    import keras

    keras.utils.set_random_seed(0)


@pytest.fixture(scope="session", autouse=True)
def _one_child():
    """The process in which converters run is kept for the whole session: starting TensorFlow takes seconds."""
    from kattn import apart

    apart.IDLE = 3600


@pytest.fixture(scope="session")
def golden_folder() -> Path:
    return Path(__file__).parent / "data" / "golden"
