"""A small network and images for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.small_models import build, coloured, train, two_outputs

from kattn.export import onnx, saved_model, tflite


@pytest.fixture(scope="session")
def model() -> Any:
    return train(build())


@pytest.fixture(scope="session")
def with_map() -> Any:
    return build(two_outputs)


@pytest.fixture(scope="session")
def images() -> np.ndarray:
    """Bytes as they are read from files."""
    return coloured(24, seed=1)[0]


@pytest.fixture(scope="session")
def artefacts(model: Any, tmp_path_factory: Any) -> Path:
    """A folder with the model as m, m.tflite, m.onnx (channels first) and m.keras. Nobody changes them."""
    folder = tmp_path_factory.mktemp("artefacts")
    saved_model(model, folder / "m")
    tflite(model, folder / "m.tflite")
    onnx(model, folder / "m.onnx", layout="nchw")
    model.save(folder / "m.keras")
    return folder


@pytest.fixture
def nothing_left(tmp_path):
    """Check at the end of a failing export: the folder holds what it held, and nothing hidden."""

    def check(*expected: str) -> None:
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted(expected)

    return check
