"""Attention for convolutional networks in Keras 3.

Layers (`kattn.layers`), models (`kattn.zoo`), training (`kattn.train`, `kattn.evaluate`), export (`kattn.export`),
search (`kattn.tune`), insertion into models that exist (`kattn.insert`) and costs (`kattn.profile`). Importing kattn
imports nothing else: each part is loaded when it is first used. The layers are registered with Keras as soon as both
are imported, in either order, so that `.keras` files load.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.util
import sys
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from kattn import explain as explain
    from kattn import export as export
    from kattn import layers as layers
    from kattn import zoo as zoo
    from kattn.evaluation import evaluate as evaluate
    from kattn.insertion import insert as insert
    from kattn.profiling import profile as profile
    from kattn.targets import targets_for as targets_for
    from kattn.training import train as train
    from kattn.tuning import tune as tune

_PARTS = ("explain", "export", "layers", "zoo")
_FUNCTIONS = {
    "evaluate": "kattn.evaluation",
    "insert": "kattn.insertion",
    "profile": "kattn.profiling",
    "targets_for": "kattn.targets",
    "train": "kattn.training",
    "tune": "kattn.tuning",
}


def __getattr__(name: str) -> Any:
    if name in _PARTS:
        return importlib.import_module(f"kattn.{name}")
    if name in _FUNCTIONS:
        return getattr(importlib.import_module(_FUNCTIONS[name]), name)
    raise AttributeError(f"module 'kattn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_PARTS, *_FUNCTIONS])


class _WhenKerasComes(importlib.abc.MetaPathFinder):
    """Imports kattn.layers right behind Keras: so a lazy `import kattn` has its layers registered all the same."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Any:
        """The spec of Keras, which registers the layers when it has run; of nothing else."""
        if fullname != "keras":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec("keras")
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def exec_module(module: Any) -> None:
            execute(module)
            importlib.import_module("kattn.layers")

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


if "keras" in sys.modules:
    importlib.import_module("kattn.layers")
else:
    sys.meta_path.insert(0, _WhenKerasComes())
