"""The version of kattn, and those of the packages that a record names."""

from __future__ import annotations

from collections.abc import Iterable

__version__ = "0.1.0"  # of kattn


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Version of kattn and of each of these packages that is installed, of Python, and the kind of machine."""
    import platform  # this module is a part of `import kattn`, which is to cost nothing
    from importlib import metadata

    found: dict[str, str] = {}
    for package in dict.fromkeys(("kattn", *packages)):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found | {"python": platform.python_version(), "machine": f"{platform.system()} {platform.machine()}"}
