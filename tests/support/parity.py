"""Other collections' networks: pip install -e '.[parity]', then pytest -m parity.

Runs on TensorFlow, or without it: KERAS_BACKEND=torch.
"""

from __future__ import annotations

import importlib
import sys
import types
import zlib
from typing import Any

import numpy as np
import pytest


def collection(name: str) -> Any:
    """The collection's package, or a skip that says how to get it."""
    pytest.importorskip("torch", reason="needs torch: pip install -e '.[parity]'")
    try:
        importlib.import_module("torchvision")
    except RuntimeError:
        # A torchvision whose compiled operators are for another torch stops at describing them; no network here uses
        # one, so that its import goes on without.
        for module in [one for one in sys.modules if one.partition(".")[0] == "torchvision"]:
            del sys.modules[module]
        sys.modules["torchvision._meta_registrations"] = types.ModuleType("torchvision._meta_registrations")
    except ImportError:
        pytest.skip("needs torchvision: pip install -e '.[parity]'")
    return pytest.importorskip(name, reason=f"needs {name}: pip install -e '.[parity]'")


def random_state(network: Any, name: str) -> Any:
    """Random weights and statistics, the same for the same name, that keep the activations' scale."""
    import torch

    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    with torch.no_grad():
        for key, value in network.state_dict().items():
            if key.endswith("num_batches_tracked"):
                continue
            if value.ndim > 1:
                value.copy_(torch.randn(value.shape, generator=generator) / value[0].numel() ** 0.5)
            elif key.endswith("running_var") or (key.endswith("weight") and value.ndim == 1):
                value.copy_(torch.rand(value.shape, generator=generator) + 0.5)
            else:
                value.copy_(torch.randn(value.shape, generator=generator) * 0.1)
    return network.eval()


def assert_same_logits(ours: Any, theirs: Any, *sizes: tuple[int, int]) -> None:
    """To 1e-4 of the largest, in batches of four."""
    import keras
    import torch

    for size in sizes:
        x = np.random.default_rng(0).standard_normal((4, *size, 3)).astype("float32")
        with torch.no_grad():
            want = theirs(torch.from_numpy(x).permute(0, 3, 1, 2)).numpy()
            got = keras.ops.convert_to_numpy(ours(x, training=False))
        assert want.std(0).mean() > 1e-3  # the image matters
        assert np.abs(got - want).max() <= 1e-4 * np.abs(want).max(), size
