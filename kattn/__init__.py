"""Attention for convolutional networks in Keras 3.

Layers (`kattn.layers`), models (`kattn.zoo`), training (`kattn.train`, `kattn.evaluate`), export (`kattn.export`) and
costs (`kattn.profile`). Importing kattn imports nothing else: each part is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from kattn import export as export
    from kattn import layers as layers
    from kattn import zoo as zoo
    from kattn.evaluation import evaluate as evaluate
    from kattn.profiling import profile as profile
    from kattn.training import train as train

_PARTS = ("layers", "zoo", "export")
_FUNCTIONS = {
    "evaluate": "kattn.evaluation",
    "profile": "kattn.profiling",
    "train": "kattn.training",
}


def __getattr__(name: str) -> Any:
    if name in _PARTS:
        return importlib.import_module(f"kattn.{name}")
    if name in _FUNCTIONS:
        return getattr(importlib.import_module(_FUNCTIONS[name]), name)
    raise AttributeError(f"module 'kattn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_PARTS, *_FUNCTIONS])
