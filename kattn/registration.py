"""Registers kattn's layers with Keras as soon as both are imported, in either order.

`import kattn` is lazy and imports no Keras. A `.keras` file that holds one of kattn's layers must load all the same
after `import kattn, keras`: so the layers are imported right behind Keras.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any


def register_layers() -> None:
    """Import kattn.layers now if Keras is there, else right behind it when it comes."""
    if "keras" in sys.modules:
        importlib.import_module("kattn.layers")
    elif not any(isinstance(finder, _BehindKeras) for finder in sys.meta_path):
        sys.meta_path.insert(0, _BehindKeras())


class _BehindKeras:
    """A finder of `sys.meta_path` that imports kattn.layers when Keras has run."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Any:
        """The spec of Keras with a loader that registers the layers; of nothing else."""
        if fullname != "keras":
            return None
        from importlib.util import find_spec  # a part of `import kattn`, which is to cost nothing

        sys.meta_path.remove(self)
        spec = find_spec("keras")
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def exec_module(module: Any) -> None:
            execute(module)
            importlib.import_module("kattn.layers")

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec
