"""Quiet TensorFlow, one seed a test, and the folder of the reference vectors."""

import gc
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import pytest


def pytest_collection_finish():
    """What was imported and collected stays to the end: the garbage collector need not look at it each time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _seeded():
    import keras

    keras.utils.set_random_seed(0)


@pytest.fixture(scope="session")
def golden_folder() -> Path:
    return Path(__file__).parent / "data" / "golden"
