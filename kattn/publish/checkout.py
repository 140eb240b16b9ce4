"""The checkout that the maintainers' programs read and write. An installed package has none: they refuse there."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).resolve().parents[1]  # the folder kattn


class CheckoutError(RuntimeError):
    """This kattn is not that of a checkout, or a path lies outside the checkout."""


def root() -> Path:
    """The top folder of the checkout that this code belongs to: pyproject.toml of kattn, with zoo/ beside it.

    Raises: CheckoutError where kattn is installed elsewhere, such as in site-packages.
    """
    folder = PACKAGE.parent
    project = folder / "pyproject.toml"
    if not (folder / "zoo").is_dir() or not project.is_file() or _name(project) != "kattn":
        raise CheckoutError(
            f"python -m kattn.publish writes the tables and pages of a checkout, but this kattn lies in {PACKAGE}: "
            "there is no pyproject.toml of kattn with zoo/ beside it. Run it in a checkout, or install the checkout "
            "with `pip install -e`."
        )
    return folder


def zoo_file(name: str) -> Path:
    """The path of a file of the zoo. Raises: CheckoutError outside a checkout."""
    return root() / "zoo" / name


def inside(path: str | Path) -> Path:
    """A path to write to, checked. Raises: CheckoutError outside a checkout, or for a path that is not in it."""
    target = Path(path).resolve()
    if not target.is_relative_to(root()):
        raise CheckoutError(f"Pages are written into the checkout {root()} only. Received: {path}")
    return target


def _name(project: Path) -> Any:
    return tomllib.loads(project.read_text(encoding="utf-8")).get("project", {}).get("name")
