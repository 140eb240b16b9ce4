"""The version of kattn, and those of the packages that a record names."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from importlib import metadata

__version__ = "0.1.0"  # of kattn


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Version of kattn and of each of these packages that is installed, of Python, and the kind of machine."""
    found: dict[str, str] = {}
    for package in dict.fromkeys(("kattn", *packages)):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found | {"python": platform.python_version(), "machine": f"{platform.system()} {platform.machine()}"}
