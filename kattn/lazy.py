"""Faces of packages: public names that are imported when they are first asked for."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def face(package: str, names: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The `__getattr__` and `__dir__` of a package whose public names are imported on demand.

    Importing a package then costs nothing, and `dir` of it shows what is public and nothing else.

    Args:
        package: The package's `__name__`.
        names: Public name to the module that defines it, relative to the package; a name that is a module itself
            maps to "".
    """

    def lookup(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        if not names[name]:
            return importlib.import_module(f"{package}.{name}")
        value = getattr(importlib.import_module(f"{package}.{names[name]}"), name)
        setattr(sys.modules[package], name, value)
        return value

    return lookup, lambda: sorted(names)
